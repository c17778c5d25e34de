"""The bytes of a file: as they were uploaded, or the results of a batch in the order of its requests."""

from collections.abc import AsyncGenerator

from turnstile.turns.store.files import OUTPUT, File
from turnstile.turns.store.turns import AsyncTurnStore


def contents(store: AsyncTurnStore, file: File) -> AsyncGenerator[bytes]:
    """Yield a file's bytes in pieces."""
    return _results(store, file) if file.purpose == OUTPUT else _uploaded(store, file)


async def _results(store: AsyncTurnStore, file: File) -> AsyncGenerator[bytes]:
    number = 1
    while number <= file.lines:
        number, results = await store.read_results(file.id, number, file.lines)
        yield b"".join(b"%b\n" % result for result in results)


async def _uploaded(store: AsyncTurnStore, file: File) -> AsyncGenerator[bytes]:
    number = 0
    while (piece := await store.read_piece(file.id, number)) is not None:
        yield piece
        number += 1
