"""The loop of blocking readers, over a store whose every call is bounded."""

import time
from collections.abc import Iterator
from typing import TypeVar

from turnstile.producers.reading.readers import Look, Patience, Reader, Reply, Step, place, told_by
from turnstile.turns.errors import QueueUnreachable
from turnstile.turns.redis.connection import LONGEST_BLOCK_SECONDS
from turnstile.turns.store.bounded import BoundedStore
from turnstile.turns.turn import TurnResult

T = TypeVar("T")


def follow_blocking(store: BoundedStore, id: str, reader: Reader[T], timeout: float | None) -> Iterator[T]:
    """Yield the findings of a reader, as they come. Tolerates an outage and raises as `follow.follow` does."""
    patience, teller = Patience(timeout), id
    while (step := reader.step) is not None:
        patience.check(step)
        try:
            reply = _fetch(store, place(step, id, teller), step, patience.left(LONGEST_BLOCK_SECONDS))
        except QueueUnreachable as error:
            time.sleep(patience.tolerate(error))
        else:
            patience.answered()
            if (other := told_by(step, reply)) and other != teller:
                teller = other
                if not isinstance(reply, TurnResult):
                    continue
            yield from reader.take(reply)


def _fetch(store: BoundedStore, id: str, step: Step, seconds: float) -> Reply:
    bounded = store.within(seconds)
    if isinstance(step, Look):
        return None if step.idle and bounded.is_under_way(id) else bounded.result(id)
    return bounded.wait_events(id, step.after, seconds) if step.wait else bounded.events(id, step.after)
