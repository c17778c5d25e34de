"""Accounts of the event loop's time: a tenant rests after its long pieces.

A tenant that has used its allowance rests three times as long before its next piece.
"""

import asyncio
from time import monotonic
from weakref import WeakKeyDictionary

_REST, _LONGEST_SECONDS = 3, 1.0  # The machine may have stood still meanwhile.
_ALLOWANCE_SECONDS = 0.75
"""Rest that a tenant may owe: a quarter of a second of the loop."""


class Account:
    """The long pieces of one tenant's requests. `line`: a tenant that rests goes on with one thing at a time."""

    def __init__(self) -> None:
        self.line = asyncio.Lock()
        self._rested = 0.0

    def charge(self, seconds: float) -> None:
        """Note a piece that kept all others waiting for so long."""
        self._rested = max(self._rested, monotonic()) + _REST * min(seconds, _LONGEST_SECONDS)

    @property
    def owed(self) -> float:
        """Seconds that the tenant has to rest; 0 within its allowance."""
        return max(0.0, self._rested - monotonic() - _ALLOWANCE_SECONDS)

    @property
    def rests(self) -> bool:
        """True when the tenant goes on with one thing at a time."""
        return self.line.locked() or self.owed > 0

    async def rest(self) -> None:
        """Return when the tenant has rested; others come between in any case."""
        await asyncio.sleep(self.owed)

    async def go_on(self) -> None:
        """Return when a request may go on with a piece that may be long: at once, unless its tenant rests."""
        if self.rests:
            async with self.line:
                await self.rest()


_accounts: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Account]] = WeakKeyDictionary()


def account_of(tenant: str) -> Account:
    """Return a tenant's account in the running loop."""
    accounts = _accounts.setdefault(asyncio.get_running_loop(), {})
    return accounts.setdefault(tenant, Account())
