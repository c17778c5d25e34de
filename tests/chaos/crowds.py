"""Bounds on how many do something at once: turns of a tenant, calls of the model, by Redis's log and the stand-in's count."""

import json
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Self

from tests.chaos import tenants
from tests.chaos.journal import Attempt
from turnstile.turns.redis.keys import Keys

_PAUSE_SECONDS = 0.1
# A worker that is frozen or cut off goes on calling for turns that it has lost, until their model's time is over.
_LATE_MS = 15_000


class OpenCalls:
    """A watch over the stand-in: how many of its requests are open, from moment to moment."""

    def __init__(self, model_url: str) -> None:
        self._url = model_url.removesuffix("/v1") + "/_stats"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="open-calls")
        self.seen: list[tuple[int, int]] = []
        """Moments in ms since the epoch, and counts."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(_PAUSE_SECONDS):
            with suppress(OSError), urllib.request.urlopen(self._url, timeout=5) as reply:
                self.seen.append((round(time.time() * 1000), int(json.load(reply)["open"])))


def faults(crowds: Mapping[str, int], seen: Sequence[tuple[int, int]], attempts: Sequence[Attempt]) -> Iterator[str]:
    """Name each bound that was passed."""
    keys = Keys()
    bounds = {keys.slots(tenant): most for tenant, most in tenants.SLOTS.items()}
    for key, most in crowds.items():
        bound = tenants.CALLS if key.startswith(keys.calls()) else bounds.get(key)
        if bound and most > bound:
            yield f"{key} had {most} members, and may have {bound}"
    lost = [attempt.ended for attempt in attempts if attempt.ended and attempt.how != "finished"]
    over = [(at, count) for at, count in seen if count > tenants.CALLS + sum(at - _LATE_MS < end <= at for end in lost)]
    if over:
        worst = max(count for _, count in over)
        yield f"the model had {worst} calls at one time, and may have {tenants.CALLS}"
