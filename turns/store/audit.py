"""The audit: every session that is not idle has its due entry, and so has every schedule."""

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress

from turnstile.turns.errors import BrokenRecord, InvalidTurn
from turnstile.turns.schedules import next_tick
from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.turns.text import as_text

_AUDIT_SECONDS = 300
_SCAN = 1000
_AUDITED = "s[ec][sh]*:*"
"""The pattern of keys that are looked at: `session:…`, `schedule:…`, `schedules:…`, `scheduled_bytes:…`."""
_AT_ONCE = 10
_REST = 4
"""Rest between two looks, as a multiple of the time that one took: others are to notice nothing of millions of keys."""


async def audit(store: AsyncTurnStore, *, now: bool = False) -> int:
    """Restore missing due entries of sessions and schedules, and count the open turns; return how many entries were missing.

    One worker in the deployment does this every five minutes, with rests; `now` does it at once, without.
    """
    keys = store.keys
    if not now and not await store.begin_audit(_AUDIT_SECONDS):
        return 0
    missing, cursor, first = 0, 0, True
    while cursor or first:
        began, first = time.monotonic(), False
        cursor, found = await store.client.scan(cursor, match=f"{keys.prefix}{_AUDITED}", count=_SCAN)
        names = [as_text(key) for key in found]
        sessions = _named(names, keys.session())
        for start in range(0, len(sessions), _AT_ONCE):
            missing += await store.audit(sessions[start : start + _AT_ONCE])
        missing += await _audit_schedules(store, _named(names, keys.schedule()), _named(names, keys.schedules()))
        missing += await _audit_bytes(store, _named(names, keys.scheduled_bytes()))
        if not now:
            await asyncio.sleep(_REST * (time.monotonic() - began))
    return missing + await store.audit([])


def _named(keys: Iterable[str], family: str) -> list[str]:
    return [key.removeprefix(family) for key in keys if key.startswith(family)]


async def _audit_schedules(store: AsyncTurnStore, ids: Iterable[str], tenants: Iterable[str]) -> int:
    """Have schedules looked at again whose entries are lost, and entries of which there is no schedule."""
    missing = 0
    for id in ids:
        with suppress(BrokenRecord):
            missing += await _audit_schedule(store, id)
    for tenant in tenants:
        start = 0
        with suppress(BrokenRecord):
            while entries := await store.schedule_entries(tenant, start, _SCAN):
                missing += await store.look_at_schedules(entries)
                start += len(entries)
    return missing


async def _audit_bytes(store: AsyncTurnStore, tenants: Iterable[str]) -> int:
    """Have those schedules looked at that an older version has removed without their bytes: the look drops these."""
    missing = 0
    for tenant in tenants:
        with suppress(BrokenRecord):
            if entries := await store.counted_entries(tenant, _SCAN):
                missing += await store.look_at_schedules(entries)
    return missing


async def _audit_schedule(store: AsyncTurnStore, id: str) -> int:
    found = await store.audit_schedule(id)
    if ahead := found.ahead:
        # Another machine may know the time zone that this one does not.
        with suppress(InvalidTurn):
            following = next_tick(ahead.cron, ahead.zone, found.now)
            await store.audit_schedule(id, ahead, following, found.now)
    return found.missing
