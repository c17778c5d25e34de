"""Retries: a batch over the requests of an earlier one that have no answer."""

import json
from collections.abc import Sequence

from turnstile.producers.gateway.batches.schemas import BatchCreation
from turnstile.producers.gateway.edge.api_errors import invalid
from turnstile.turns.store.batches import COMPLETED, ENDED, Batch, result_file
from turnstile.turns.store.turns import AsyncTurnStore

MOST_RETRIES = 20
"""Retries of retries: the results of all are looked through."""
_AT_ONCE = 1_000


class ResultsGone(Exception):
    """Results of an earlier batch were deleted: what has no answer is not known any more."""


def retried(batch: Batch, wanted: BatchCreation) -> list[str]:
    """Return the batches whose answers stand when this one is retried, itself the last. Raises ApiError."""
    facts = json.loads(batch.facts)
    if batch.state not in ENDED:
        raise invalid("retry_of", "The batch to retry has not ended.")
    if (batch.file, facts["endpoint"]) != (wanted.input_file_id, wanted.endpoint):
        raise invalid("retry_of", "The batch to retry has another file, or another endpoint.")
    if len(facts["retries"]) >= MOST_RETRIES:
        raise invalid("retry_of", f"The batch was retried {MOST_RETRIES} times already.")
    return [*facts["retries"], batch.id]


async def count_answers(store: AsyncTurnStore, batches: Sequence[str]) -> int:
    """Return how many requests these batches have answered. Raises ResultsGone, UnknownBatch."""
    total = 0
    for id in batches:
        count, _ = await store.recorded_lines(result_file(id, COMPLETED), 1, 0)
        if count < (await store.read_batch(id)).completed:
            raise ResultsGone
        total += count
    return total


class Recorded:
    """The lines that have a result in some files, looked up as they are read."""

    def __init__(self, store: AsyncTurnStore, files: Sequence[str]) -> None:
        self._store, self._files = store, files
        self._last = 0
        self._lines: frozenset[int] = frozenset()

    async def has(self, number: int) -> bool:
        """Return whether a line has a result; lines come in their order."""
        if number > self._last:
            self._last, self._lines = number + _AT_ONCE - 1, frozenset()
            for file in self._files:
                self._lines |= (await self._store.recorded_lines(file, number, self._last))[1]
        return number in self._lines
