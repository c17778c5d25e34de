"""A bound on the transfers of files of one tenant, and of all: each holds memory or disk for as long as its client is slow."""

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager

from turnstile.producers.gateway.edge.api_errors import ApiError

MOST_TRANSFERS = 4
MOST_OF_ALL = 64
_running: Counter[str] = Counter()


@contextmanager
def transfer(tenant: str) -> Iterator[None]:
    """Count a transfer of a tenant while the block runs. Raises ApiError (429) when there are too many."""
    if _running[tenant] >= MOST_TRANSFERS:
        raise _too_many(f"{MOST_TRANSFERS} files of yours are on their way already; please retry.")
    if _running.total() >= MOST_OF_ALL:
        raise _too_many("The gateway moves too many files now; please retry.")
    _running[tenant] += 1
    try:
        yield
    finally:
        _running[tenant] -= 1
        if not _running[tenant]:
            del _running[tenant]


def _too_many(message: str) -> ApiError:
    return ApiError(429, message, None, "too_many_transfers", {"retry-after": "5", "connection": "close"})


async def counted(tenant: str, pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """Yield the pieces of a transfer. Raises ApiError as `transfer`, before the first."""
    with transfer(tenant):
        async for piece in pieces:
            yield piece
