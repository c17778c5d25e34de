"""Sentinel failovers under load, each kind of end of the primary: how long turns stand still, and what is lost."""

import signal
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from itertools import pairwise, product
from pathlib import Path
from threading import Event, Thread
from typing import Any

from tests.chaos.cluster import Cluster
from tests.support.processes import Worker, offline_model
from tests.support.wait import wait_until
from turnstile.turns.errors import QueueUnreachable, UnknownTurn
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.turn import Record

OPTIONS: dict[str, dict[str, str]] = {
    "none (asynchronous replication)": {},
    "min-replicas-to-write 1, min-replicas-max-lag 1": {"min-replicas-to-write": "1", "min-replicas-max-lag": "1"},
}
ENDS = {"killed (signal 9)": signal.SIGKILL, "silent, then awake (SIGSTOP, SIGCONT)": signal.SIGSTOP}
_SESSIONS = 20
# With one, the promoted replica has none of its own, and `min-replicas-to-write` would have it refuse everything.
_REPLICAS = 2
_PAUSE_SECONDS = 0.05
_CALM_SECONDS = 2.0
_REST_SECONDS = 90.0


class Load:
    """Submits turns all the time, the sessions in turn, each until it is accepted; notes when, and in which phase."""

    def __init__(self, store: TurnStore) -> None:
        self.accepted: list[tuple[str, float, str]] = []
        self.phase = "calm"
        self.took: list[float] = []
        self._store = store
        self._done = Event()
        self._thread = Thread(target=self._ask)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _ask(self) -> None:
        number = 0
        while not self._done.wait(_PAUSE_SECONDS):
            turn = f"t{number}"
            began = time.monotonic()
            while not self._done.is_set() and not self._accepted(turn, f"s{number % _SESSIONS}"):
                time.sleep(_PAUSE_SECONDS)
            self.took.append(time.monotonic() - began)
            number += 1

    def _accepted(self, turn: str, session: str) -> bool:
        phase = self.phase
        with suppress(QueueUnreachable):
            self._store.submit(turn, session, "question")
            self.accepted.append((turn, time.monotonic(), phase))
            return True
        return False


def measure(failovers: int, folder: Path) -> list[dict[str, Any]]:
    """Measure a row for each option and each end of the primary."""
    kinds = list(product(OPTIONS.items(), ENDS.items()))
    return [
        {"option": option, "primary": end, **_measure(options, how, failovers, folder / str(number))}
        for number, ((option, options), (end, how)) in enumerate(kinds)
    ]


def _measure(options: Mapping[str, str], how: signal.Signals, failovers: int, folder: Path) -> dict[str, Any]:
    pauses: list[float] = []
    with offline_model("--latency", "0.2") as model_url, Cluster(folder, options, _REPLICAS) as cluster:
        store = TurnStore(Settings(redis_url=cluster.url))
        with Worker(cluster.url, folder, OPENAI_BASE_URL=model_url):
            with Load(store) as load:
                for _ in range(failovers):
                    time.sleep(_CALM_SECONDS)
                    load.phase = "failover"
                    pauses.append(_pause(cluster, load, how))
                    load.phase = "return"
                    cluster.mend()
                    load.phase = "calm"
            unfinished = _unfinished(store, [turn for turn, _, _ in load.accepted])
            lost = Counter(phase for turn, _, phase in load.accepted if turn in unfinished)
            known = [record for turn, _, _ in load.accepted if (record := _record(store, turn))]
    submit = sorted(load.took)[len(load.took) // 2] * 1000
    return {
        "turns": len(load.accepted),
        "lost": dict(lost),
        "pauses": pauses,
        "submit_ms": submit,
        "failed": sum(record.state is State.FAILED for record in known),
        "attempts": sum(record.attempts for record in known) / max(1, len(known)),
    }


def _pause(cluster: Cluster, load: Load, how: signal.Signals) -> float:
    """Fail over; the longest time without a turn accepted, in seconds."""
    before = len(load.accepted)
    cluster.fail_over(how)
    wait_until(lambda: len(load.accepted) > before + 3, "turns are accepted again", _REST_SECONDS)
    moments = [moment for _, moment, _ in load.accepted[before - 1 :]]
    return max(later - earlier for earlier, later in pairwise(moments))


def _unfinished(store: TurnStore, turns: list[str]) -> set[str]:
    """Return the turns that are not completed when nothing moves any more."""
    with suppress(AssertionError):
        wait_until(lambda: store.stats().get("open", 0) == 0, "all turns that are known are completed", _REST_SECONDS)
    records = {turn: _record(store, turn) for turn in turns}
    return {turn for turn, record in records.items() if record is None or record.state is not State.COMPLETED}


def _record(store: TurnStore, turn: str) -> Record | None:
    with suppress(UnknownTurn):
        return store.status(turn)
    return None
