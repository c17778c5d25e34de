"""The audit: every session that is not idle has its due entry."""

import asyncio
import time

from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.turns.text import as_text

_AUDIT_SECONDS = 300
_SCAN = 1000
_AT_ONCE = 10
_REST = 4
"""Rest between two looks, as a multiple of the time that one took: others are to notice nothing of millions of keys."""


async def audit(store: AsyncTurnStore, *, now: bool = False) -> int:
    """Restore missing due entries, and count the open turns; return how many entries were missing.

    One worker in the deployment does this every five minutes, with rests; `now` does it at once, without.
    """
    keys, client = store.keys, store.client
    if not now and not await client.set(keys.audit, "1", nx=True, ex=_AUDIT_SECONDS):
        return 0
    missing, cursor, first = 0, 0, True
    while cursor or first:
        began, first = time.monotonic(), False
        cursor, found = await client.scan(cursor, match=f"{keys.session()}*", count=_SCAN)
        sessions = [as_text(key).removeprefix(keys.session()) for key in found]
        for start in range(0, len(sessions), _AT_ONCE):
            missing += await store.audit(sessions[start : start + _AT_ONCE])
        if not now:
            await asyncio.sleep(_REST * (time.monotonic() - began))
    return missing + await store.audit([])
