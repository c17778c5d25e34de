"""The sweep: every worker restarts what is overdue."""

import logging

from turnstile.turns.store.turns import AsyncTurnStore

log = logging.getLogger(__name__)

_LIMIT = 100


async def sweep(store: AsyncTurnStore, worker: str = "") -> None:
    """Restart the sessions that are overdue now."""
    seen = _LIMIT
    while seen >= _LIMIT:
        swept = await store.sweep(_LIMIT, worker)
        seen = swept.seen
        if swept.recovered or swept.failed:
            log.warning("%d turns of lost workers start again, %d gave up", swept.recovered, swept.failed)
