"""The audit: every session that is not idle has its due entry."""

from turnstile.turns.store.turns import AsyncTurnStore

_AUDIT_SECONDS = 300
_SCAN = 1000
_AT_ONCE = 10


async def audit(store: AsyncTurnStore, *, now: bool = False) -> int:
    """Restore missing due entries, and count the open turns; return how many entries were missing.

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
