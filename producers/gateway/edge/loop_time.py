"""The event loop's time that requests take in long pieces, charged to their tenants.

While a piece of a request runs, nobody else is served. Short pieces, as ordinary requests have, are free. A tenant that has
used its allowance of long ones rests three times as long before its next.
"""

import asyncio
from collections.abc import Awaitable, Generator
from contextvars import ContextVar
from time import monotonic, thread_time
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")

_LONG_SECONDS = 0.02
_REST, _LONGEST_SECONDS = 3, 1.0
_ALLOWANCE_SECONDS = 0.75
"""Rest that a tenant may owe: a quarter of a second of the loop."""


class Account:
    """The long pieces of one tenant's requests. `line`: a tenant that rests goes on with one thing at a time."""

    def __init__(self) -> None:
        self.line = asyncio.Lock()
        self._rested = 0.0

    def charge(self, seconds: float) -> None:
        """Note a piece; a short one costs nothing."""
        if seconds > _LONG_SECONDS:
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

loop_account: ContextVar[Account | None] = ContextVar("loop_account", default=None)
"""The account of the tenant whose request is served; None where there are no API keys."""


def account_of(tenant: str) -> Account:
    """Return a tenant's account in the running loop."""
    accounts = _accounts.setdefault(asyncio.get_running_loop(), {})
    return accounts.setdefault(tenant, Account())


async def metered(work: Awaitable[T]) -> T:
    """Return the result of `work`, whose pieces are charged to the tenant whose request is served."""
    account = loop_account.get()
    return await (_Metered(work, account) if account else work)


class _Metered(Generic[T]):
    def __init__(self, work: Awaitable[T], account: Account) -> None:
        self._work, self._account = work, account

    def __await__(self) -> Generator[Any, Any, T]:
        steps = self._work.__await__()
        resume, value = steps.send, None
        while True:
            began = thread_time()
            try:
                waits_for = resume(value)
            except StopIteration as end:
                result: T = end.value
                return result
            finally:
                self._account.charge(thread_time() - began)
            try:
                resume, value = steps.send, (yield waits_for)
            except BaseException as error:  # it is the work's own to handle
                resume, value = steps.throw, error


class LongWork:
    """Work of many pieces, in one request: others come between, and its tenant rests."""

    def __init__(self) -> None:
        self._began = thread_time()

    async def pause(self) -> None:
        """Let others come between, when that has been due since the last pause."""
        if thread_time() - self._began > _LONG_SECONDS:
            account = loop_account.get()
            await (account.rest() if account else asyncio.sleep(0))
            self._began = thread_time()
