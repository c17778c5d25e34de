"""The loop of awaited readers, which need no Redis connection for each."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from typing import TypeVar

from turnstile.producers.reading.readers import (
    EVENTS_AT_ONCE,
    EndReader,
    Look,
    Patience,
    Read,
    Reader,
    Reply,
    ResultReader,
    Step,
    place,
    told_by,
)
from turnstile.producers.reading.wakeups import Wakeup, Wakeups
from turnstile.turns.errors import QueueUnreachable
from turnstile.turns.redis.connection import LONGEST_BLOCK_SECONDS
from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.turns.turn import TurnResult

T = TypeVar("T")

SAFETY_POLL_SECONDS = 10.0


async def follow(
    store: AsyncTurnStore,
    wakeups: Wakeups,
    id: str,
    reader: Reader[T],
    timeout: float | None = None,  # noqa: ASYNC109 - outages of Redis are part of it
) -> AsyncIterator[Sequence[T]]:
    """Yield the findings of a reader in batches, as they come; empty ones between, at least every SAFETY_POLL_SECONDS.

    An outage of Redis is tolerated for the time-out; without one, for `turnstile.producers.reading.readers.OUTAGE_SECONDS`.

    Raises:
        UnknownTurn: the turn does not exist, or no longer.
        TurnNotFinished: the time-out passed.
        QueueUnreachable: the outage is longer.
    """
    patience, teller = Patience(timeout), id
    with ExitStack() as stack:
        wakeup: Wakeup | None = None
        waited: Step | None = None
        woken = False
        while (step := reader.step) is not None:
            patience.check(step)
            if isinstance(step, Read) and step.wait and step is not waited:
                wakeup = wakeup or stack.enter_context(wakeups.subscribe(place(step, id, teller), step.ending))
                # An end that is told of is looked at in one go.
                woken = await wakeup.wait(patience.left(SAFETY_POLL_SECONDS)) and step.ending
                waited = step
            try:
                seconds = patience.left(LONGEST_BLOCK_SECONDS)
                reply = await _fetch(store, place(step, id, teller), step, seconds, woken=woken)
            except QueueUnreachable as error:
                await asyncio.sleep(patience.tolerate(error))
                yield ()
            else:
                patience.answered()
                if (other := told_by(step, reply)) and other != teller:
                    teller, wakeup = other, None
                    if not isinstance(reply, TurnResult):
                        continue
                found = reader.take(reply)
                # It may be large, and the next one may be long in coming.
                del reply
                yield found
                del found


async def _fetch(store: AsyncTurnStore, id: str, step: Step, seconds: float, *, woken: bool) -> Reply:
    try:
        async with asyncio.timeout(seconds):
            if isinstance(step, Look):
                is_idle = step.idle and not woken and await store.is_under_way(id)
                return None if is_idle else await store.result(id)
            return () if step.ending else await store.events(id, step.after, EVENTS_AT_ONCE)
    except TimeoutError:
        raise QueueUnreachable(f"Redis did not answer within {seconds:.1f} seconds.") from None


async def look(store: AsyncTurnStore, wakeups: Wakeups, id: str) -> TurnResult:
    """Return a turn's record as it is now. Tolerates an outage and raises as `follow` does."""
    return await _first(follow(store, wakeups, id, ResultReader()))


async def ended(store: AsyncTurnStore, wakeups: Wakeups, id: str) -> TurnResult:
    """Return the record of a turn when it has ended. Tolerates an outage and raises as `follow` does."""
    return await _first(follow(store, wakeups, id, EndReader()))


async def _first(batches: AsyncIterator[Sequence[T]]) -> T:
    async for batch in batches:
        if batch:
            return batch[0]
    raise AssertionError("a reader ended without a finding")
