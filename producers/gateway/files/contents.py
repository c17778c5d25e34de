"""The bytes of a file: as they were uploaded, or the results of a batch in the order of its requests."""

from collections.abc import AsyncGenerator

from turnstile.turns.store.files import File
from turnstile.turns.store.turns import AsyncTurnStore

_LINES = 8


async def contents(store: AsyncTurnStore, file: File) -> AsyncGenerator[bytes]:
    """Yield a file's bytes in pieces."""
    if file.batch:
        async for line in results(store, file.batch, file.outcome):
            yield line
        return
    number = 0
    while (piece := await store.read_piece(file.id, number)) is not None:
        yield piece
        number += 1


async def results(store: AsyncTurnStore, batch: str, outcome: str) -> AsyncGenerator[bytes]:
    """Yield the results of a batch that have this outcome, each a line."""
    lines = (await store.read_batch(batch)).place.line
    for first in range(1, lines + 1, _LINES):
        for found in await store.read_results(batch, range(first, min(first + _LINES, lines + 1))):
            if found and found[0] == outcome:
                yield found[1] + b"\n"
