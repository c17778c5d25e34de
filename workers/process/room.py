"""Room in a worker process's memory for large turns."""

import ctypes
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from turnstile.turns.ids import tenant_of
from turnstile.turns.redis.scripts import LARGE_BYTES
from turnstile.turns.repeated_errors import RepeatedWarnings
from turnstile.turns.settings import Settings

Take = Callable[[int], bool]
"""Takes room for a turn of so many bytes; False where there is none."""

_M_MMAP_THRESHOLD = -3
_warnings = RepeatedWarnings(__name__)


def return_large_blocks() -> None:
    """Have the C library return large blocks to the system once they are free; glibc would soon keep them for itself."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)


class Room:
    """The bytes that large turns at work may have together; each takes several times as much memory.

    A tenant has a share of them, so that others find some. A turn that is larger than its share goes when its tenant has no
    other, and one that is larger than all when there is no other at all.
    """

    def __init__(self, settings: Settings) -> None:
        self._most = settings.large_turns_bytes
        self._share = self._most * settings.tenant_share
        self._taken: Counter[str] = Counter()

    @contextmanager
    def hold(self, session: str) -> Iterator[Take]:
        """Give the room that a session's turn takes for the block."""
        tenant, held = tenant_of(session), 0

        def take(size: int) -> bool:
            nonlocal held
            more = size - held
            if size <= LARGE_BYTES or more <= 0:
                return True
            others, all_others = self._taken[tenant] - held, self._taken.total() - held
            if (others and others + size > self._share) or (all_others and all_others + size > self._most):
                _warnings.warn("large turns wait for room in this worker's memory: see TURNSTILE_LARGE_TURNS_BYTES")
                return False
            self._taken[tenant] += more
            held = size
            return True

        try:
            yield take
        finally:
            self._taken[tenant] -= held
            if not self._taken[tenant]:
                del self._taken[tenant]
