"""A bound on the transfers of files of one API key: each holds memory or disk for as long as its client is slow."""

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager

from turnstile.producers.gateway.edge.api_errors import ApiError

MOST_TRANSFERS = 4
_running: Counter[str] = Counter()


@contextmanager
def transfer(key: str) -> Iterator[None]:
    """Count a transfer of a key while the block runs. Raises ApiError (429) when there are too many."""
    if _running[key] >= MOST_TRANSFERS:
        message = f"This API key moves {MOST_TRANSFERS} files already; please retry."
        raise ApiError(429, message, None, "too_many_transfers", {"retry-after": "5", "connection": "close"})
    _running[key] += 1
    try:
        yield
    finally:
        _running[key] -= 1


async def counted(key: str, pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """Yield the pieces of a transfer. Raises ApiError as `transfer`, before the first."""
    with transfer(key):
        async for piece in pieces:
            yield piece
