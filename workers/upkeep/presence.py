"""The presence check, by which workers notice each other's death."""

import asyncio

from turnstile.turns.store.turns import AsyncTurnStore


async def check_presence(store: AsyncTurnStore, worker: str, death: asyncio.Event) -> None:
    """Report this worker as alive, and take the leases of dead ones; set `death` when there was one."""
    if await store.reap(worker):
        death.set()
