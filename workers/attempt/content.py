"""The content of large turns, read beside their claims."""

import asyncio
from dataclasses import replace
from time import monotonic

from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.turns.turn import Claim
from turnstile.workers.attempt.insist import insist

_REST, _LONGEST_REST = 3, 1.0
"""A large read keeps others waiting at the server: a rest of three times as long follows it, in seconds at most."""


class Content:
    """A reader of what claims leave out, for one turn at a time."""

    def __init__(self, store: AsyncTurnStore) -> None:
        self._store = store
        self._alone = asyncio.Lock()

    async def whole(self, claim: Claim) -> Claim:
        """Return a claim with all its content."""
        waits = monotonic()
        async with self._alone:
            began = monotonic()
            found = await insist(lambda: self._read(claim))
            await asyncio.sleep(_REST * min(monotonic() - began, _LONGEST_REST))
        return replace(found, now=claim.now + monotonic() - waits)

    async def _read(self, claim: Claim) -> Claim:
        large = claim.large
        assert large
        if large.asked:
            _, origin = await self._store.read_asked(claim.thread) if claim.thread != claim.id else (b"", b"")
            claim = claim.with_question(*await self._store.read_asked(claim.id), origin)
        window = await self._store.read_newest(claim.session, large) if large.newest else []
        if large.first:
            window += await self._store.read_first(claim.session, large)
        return claim.with_window(window)
