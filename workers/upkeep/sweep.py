"""What every worker does beside answering: set overdue sessions going again, and see that each has its due entry."""

import asyncio
import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import redis

from turnstile.turns.errors import QueueUnreachable
from turnstile.turns.repeated_errors import Complaints
from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.workers.process.health import Beat

log = logging.getLogger(__name__)

_LIMIT = 100
_ROLL_SECONDS = 0.2
_AUDIT_SECONDS = 300
_AUDIT_LOOK_SECONDS = 10.0
_SCAN = 1000
_AT_ONCE = 100


class Upkeep:
    """What one worker does for all. Each chore has its own fate: one that Redis refuses stops no other."""

    def __init__(self, store: AsyncTurnStore, worker: str) -> None:
        self._store = store
        self._worker = worker
        self._found = asyncio.Event()
        self._complaints = Complaints(__name__)

    async def call_roll(self, beat: Beat) -> None:
        """Call the roll five times a second, for ever: this worker is alive, and others may not be."""
        while True:
            with self._trying("call the roll", beat):
                if await self._store.muster(self._worker):
                    self._found.set()
            await asyncio.sleep(_apart(min(_ROLL_SECONDS, self._store.settings.sweep_seconds)))

    async def sweep(self, beat: Beat) -> None:
        """Sweep every `sweep_seconds`, and whenever somebody was found dead, for ever."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_apart(self._store.settings.sweep_seconds)):
                    await self._found.wait()
            self._found.clear()
            with self._trying("sweep", beat):
                await sweep(self._store, self._worker)

    async def audit(self, beat: Beat) -> None:
        """Look for sessions without a due entry, every five minutes in the whole deployment, for ever."""
        while True:
            await asyncio.sleep(_apart(_AUDIT_LOOK_SECONDS))
            with self._trying("audit", beat):
                await audit(self._store)

    @contextmanager
    def _trying(self, what: str, beat: Beat) -> Iterator[None]:
        """An outage is waited out; what Redis refuses is told, and tried again."""
        try:
            yield
            beat()
        except (QueueUnreachable, redis.RedisError, OSError) as error:
            self._complaints.tell(f"cannot {what}: {error}")


def _apart(seconds: float) -> float:
    return seconds * random.uniform(0.8, 1.2)  # noqa: S311 - no secret


async def sweep(store: AsyncTurnStore, worker: str = "") -> None:
    """Set going whatever is overdue now."""
    seen = _LIMIT
    while seen >= _LIMIT:
        swept = await store.sweep(_LIMIT, worker)
        seen = swept.seen
        if swept.recovered or swept.failed:
            log.warning("%d turns of lost workers start again, %d gave up", swept.recovered, swept.failed)


async def audit(store: AsyncTurnStore, *, now: bool = False) -> int:
    """Give every session that is not idle its due entry back, should it be missing, and count the open turns; how many were.

    One worker in the deployment does this every five minutes; `now` does it at once.
    """
    keys, client = store.keys, store.client
    if not now and not await client.set(keys.audit, "1", nx=True, ex=_AUDIT_SECONDS):
        return 0
    missing = 0
    batch: list[str] = []
    async for key in client.scan_iter(match=f"{keys.session()}*", count=_SCAN):
        batch.append(key.decode().removeprefix(keys.session()))
        if len(batch) >= _AT_ONCE:
            missing += await store.audit(batch)
            batch.clear()
    return missing + await store.audit(batch)
