"""Branches of a tenant, at a pace: each copies a window of a history inside Redis, where everybody else waits meanwhile."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from time import monotonic

from turnstile.turns.store.acceptance import Submitted

_AT_ONCE = 4
_LONG_SECONDS = 0.05
_REST, _LONGEST_SECONDS = 3, 1.0
"""A long copy, or a call that failed, is followed by a rest of three times as long, for the tenant's branches alone."""


class _Pace:
    def __init__(self) -> None:
        self.slots = asyncio.Semaphore(_AT_ONCE)
        self.rests_until = 0.0


_paces: defaultdict[str, _Pace] = defaultdict(_Pace)


async def at_a_pace(tenant: str, branch: str, follow: Callable[[], Awaitable[Submitted]]) -> Submitted:
    """Have a turn follow another one, when the tenant's last branches have had their rests. `branch`: one that it may begin."""
    pace = _paces[tenant]
    async with pace.slots:
        if (rest := pace.rests_until - monotonic()) > 0:
            await asyncio.sleep(rest)
        began, session = monotonic(), branch
        try:
            accepted = await follow()
            session = accepted.session
        finally:
            # Also one that was refused, or given up, may have searched for its place.
            took = monotonic() - began
            if session == branch and took > _LONG_SECONDS:
                pace.rests_until = max(pace.rests_until, monotonic()) + _REST * min(took, _LONGEST_SECONDS)
    return accepted
