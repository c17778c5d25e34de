"""The lines of an uploaded file, read piece by piece."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from turnstile.turns.store.batches import Place
from turnstile.turns.store.turns import AsyncTurnStore

MOST_LINES = 50_000
"""Lines of a file, empty ones among them."""
_LINES_IN_A_ROW = 256


class TooManyLines(Exception):
    """A file has more than MOST_LINES lines."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is not empty. `text` is None when it is longer than a request may be; `after` is the place behind it."""

    number: int
    text: bytes | None
    after: Place


async def read_lines(store: AsyncTurnStore, file: str, place: Place, most_bytes: int) -> AsyncGenerator[Line]:
    """Yield the lines of a file from a place on. Raises TooManyLines."""
    kept, size = bytearray(), 0
    line, number, offset = place.line, place.piece, place.offset

    def end_line(after: int, piece: int) -> Line | None:
        nonlocal line, size
        line, text = line + 1, bytes(kept) if size <= most_bytes else None
        kept.clear()
        size = 0
        return Line(line, text, Place(line, piece, after)) if text is None or text.strip() else None

    def keep(part: bytes) -> None:
        nonlocal size
        size += len(part)
        if size <= most_bytes:
            kept.extend(part)
        else:
            kept.clear()

    while (piece := await store.read_piece(file, number)) is not None:
        while (end := piece.find(b"\n", offset)) >= 0:
            keep(piece[offset:end])
            offset = end + 1
            if found := end_line(offset, number):
                yield found
            if line > MOST_LINES:
                raise TooManyLines
            if line % _LINES_IN_A_ROW == 0:
                await asyncio.sleep(0)
        keep(piece[offset:])
        number, offset = number + 1, 0
    if size and (found := end_line(0, number)):
        yield found


async def count_lines(store: AsyncTurnStore, file: str, most_bytes: int) -> int:
    """Return how many lines a file has that are not empty. Raises TooManyLines."""
    return sum([1 async for _ in read_lines(store, file, Place(), most_bytes)])
