"""Following a turn without a Redis connection for each reader."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from typing import TypeVar

from turnstile.producers.reading.readers import EndReader, Look, Patience, Read, Reader, Step
from turnstile.producers.reading.watch import Bell, Watch
from turnstile.turns.errors import QueueUnreachable
from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.turns.turn import Event, Record

T = TypeVar("T")

BEAT_SECONDS = 10.0


async def follow(store: AsyncTurnStore, watch: Watch, id: str, reader: Reader[T]) -> AsyncIterator[Sequence[T]]:
    """What a reader finds, in batches as it comes; an empty batch now and then, at least each BEAT_SECONDS.

    Waits out an outage of Redis for `turnstile.producers.reading.readers.OUTAGE_SECONDS`, then raises QueueUnreachable.

    Raises:
        UnknownTurn: there is no such turn any more.
    """
    patience = Patience(None)
    with ExitStack() as stack:
        bell: Bell | None = None
        waited: Step | None = None
        while (step := reader.step) is not None:
            if isinstance(step, Read) and step.wait and step is not waited:
                bell = bell or stack.enter_context(watch.bell(id, step.ending))
                await bell.heard(BEAT_SECONDS)
                waited = step
            try:
                reply = await _fetch(store, id, step)
            except QueueUnreachable as error:
                await asyncio.sleep(patience.bear(error))
                yield ()
            else:
                patience.answered()
                yield reader.take(reply)


async def _fetch(store: AsyncTurnStore, id: str, step: Step) -> Sequence[Event] | Record:
    if isinstance(step, Look):
        return await store.status(id)
    return () if step.ending else await store.events(id, step.after)


async def look(store: AsyncTurnStore, id: str) -> Record:
    """A turn's record; waits out an outage as `follow` does, and raises as it does."""
    patience = Patience(None)
    while True:
        try:
            return await store.status(id)
        except QueueUnreachable as error:
            await asyncio.sleep(patience.bear(error))


async def ended(store: AsyncTurnStore, watch: Watch, id: str) -> Record:
    """The record of a turn, once it has ended. Raises as `follow` does."""
    async for batch in follow(store, watch, id, EndReader()):
        if batch:
            return batch[0]
    raise AssertionError("a reader of the end found none")
