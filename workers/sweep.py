"""What every worker does beside answering: set overdue sessions going again, and see that each has its due entry."""

import asyncio
import logging
import random
from time import monotonic

import redis

from turns.errors import QueueUnreachable
from turns.store import AsyncTurnStore
from workers.health import Beat

log = logging.getLogger(__name__)

_LIMIT = 100
_ROLL_SECONDS = 0.2
_AUDIT_SECONDS = 300
_SCAN = 1000


async def sweep_for_ever(store: AsyncTurnStore, beat: Beat) -> None:
    """Call the roll five times a second, and sweep every `sweep_seconds` and whenever somebody is missing.

    A little apart from the other workers. An outage is waited out. `beat` after each round that Redis answered.
    """
    pause = store.settings.sweep_seconds
    following = 0.0
    while True:
        await asyncio.sleep(_apart(min(_ROLL_SECONDS, pause)))
        try:
            released = await store.muster()
            if released or monotonic() >= following:
                following = monotonic() + _apart(pause) - _ROLL_SECONDS / 2
                await sweep(store)
                await audit(store)
            beat()
        except (QueueUnreachable, redis.RedisError, OSError) as error:
            log.warning("cannot sweep: %s", error)


def _apart(seconds: float) -> float:
    return seconds * random.uniform(0.8, 1.2)  # noqa: S311 - no secret


async def sweep(store: AsyncTurnStore) -> None:
    """Set going whatever is overdue now."""
    seen = _LIMIT
    while seen >= _LIMIT:
        swept = await store.sweep(_LIMIT)
        seen = swept.seen
        if swept.recovered or swept.failed:
            log.warning("%d turns of lost workers start again, %d gave up", swept.recovered, swept.failed)


async def audit(store: AsyncTurnStore, *, now: bool = False) -> int:
    """Give every session that is not idle its due entry back, should it be missing; how many were.

    One worker in the deployment does this every five minutes; `now` does it at once.
    """
    keys, client = store.keys, store.client
    if not now and not await client.set(keys.audit, "1", nx=True, ex=_AUDIT_SECONDS):
        return 0
    missing = 0
    batch: list[str] = []
    async for key in client.scan_iter(match=f"{keys.session()}*", count=_SCAN):
        batch.append(key.decode().removeprefix(keys.session()))
        if len(batch) >= _SCAN:
            missing += await _restore(store, batch)
            batch.clear()
    return missing + await _restore(store, batch)


async def _restore(store: AsyncTurnStore, sessions: list[str]) -> int:
    if not sessions:
        return 0
    # Long past: the next sweep looks at it, and drops it again should the session have fallen idle meanwhile.
    return int(await store.client.zadd(store.keys.due, dict.fromkeys(sessions, 1), nx=True) or 0)
