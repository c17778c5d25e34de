"""Retries: a batch over the requests of an earlier one that have no answer."""

import json
from collections.abc import Sequence

from turnstile.producers.gateway.batches.schemas import BatchCreation
from turnstile.producers.gateway.edge.api_errors import invalid
from turnstile.turns.store.batches import COMPLETED, ENDED, Batch, result_file
from turnstile.turns.store.turns import AsyncTurnStore

MOST_RETRIES = 20
"""Retries of retries: the results of all are looked through."""


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


async def answered_lines(store: AsyncTurnStore, batches: Sequence[str]) -> frozenset[int]:
    """Return the lines that these batches have answered. Raises ResultsGone, UnknownBatch."""
    lines: frozenset[int] = frozenset()
    for id in batches:
        found = await store.recorded(result_file(id, COMPLETED))
        if len(found) < (await store.read_batch(id)).completed:
            raise ResultsGone
        lines |= found
    return lines
