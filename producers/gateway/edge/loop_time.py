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

from turnstile.producers.gateway.edge.client_presence import check_client

T = TypeVar("T")

_LONG_SECONDS = 0.02
_PIECE_SECONDS = 0.01
"""Pieces in which long work is done; too short to be charged again."""
_REST, _LONGEST_SECONDS = 3, 1.0
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
            watch = _Watch()
            try:
                waits_for = resume(value)
            except StopIteration as end:
                result: T = end.value
                return result
            finally:
                if watch.computed > _LONG_SECONDS:
                    self._account.charge(watch.elapsed)
            try:
                resume, value = steps.send, (yield waits_for)
            except BaseException as error:  # it is the work's own to handle
                resume, value = steps.throw, error


class _Watch:
    """Time since a piece began: `computed` tells if it is long, `elapsed` is what others wait, more so on a busy machine."""

    def __init__(self) -> None:
        self._thread, self._wall = thread_time(), monotonic()

    @property
    def computed(self) -> float:
        return thread_time() - self._thread

    @property
    def elapsed(self) -> float:
        return monotonic() - self._wall


class LongWork:
    """Work of many pieces, in one request: others come between, and its tenant rests."""

    def __init__(self) -> None:
        self._watch = _Watch()

    async def pause(self) -> None:
        """Let others come between, when that has been due since the last pause. Raises ClientGone."""
        if self._watch.computed > _PIECE_SECONDS:
            await self._pause(loop_account.get())
            check_client()
            self._watch = _Watch()

    async def _pause(self, account: Account | None) -> None:
        if account:
            account.charge(self._watch.elapsed)
            await account.rest()
        else:
            await asyncio.sleep(0)
