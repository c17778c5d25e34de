"""Work on large turns, done beside the loop so that other turns go on."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from turnstile.turns.turn import Claim

T = TypeVar("T")

_LARGE_BYTES = 262_144
_MANY = 200


async def aside(claim: Claim, work: Callable[[], T]) -> T:
    """Return what `work` on a turn's messages returns; it runs in a thread if they are large or many."""
    return await asyncio.to_thread(work) if _is_large(claim) else work()


def _is_large(claim: Claim) -> bool:
    options = claim.options
    return claim.size > _LARGE_BYTES or len(claim.window) + len(options.history or ()) + len(options.before) > _MANY
