"""The sweeps: every worker restarts what is overdue, and removes what is left of erased sessions."""

import logging
from collections.abc import Callable, Sequence

from turnstile.turns.store.turns import AsyncTurnStore

log = logging.getLogger(__name__)

_LIMIT = 100
_PIECES = 20


HearModels = Callable[[Sequence[str]], object]
"""Is told which models have a budget now, or are paused."""


async def sweep(store: AsyncTurnStore, worker: str = "", hear: HearModels | None = None) -> None:
    """Restart the sessions that are overdue now, and send turns for what has fallen free in the budgets of models."""
    seen = _LIMIT
    while seen >= _LIMIT:
        swept = await store.sweep(_LIMIT, worker)
        seen = swept.seen
        if hear:
            hear(swept.models)
        if swept.recovered or swept.failed:
            log.warning("%d turns of lost workers start again, %d gave up", swept.recovered, swept.failed)


async def sweep_erased(store: AsyncTurnStore) -> None:
    """Remove some pieces of what is left of erased sessions."""
    for _ in range(_PIECES):
        if not await store.sweep_erased():
            return
