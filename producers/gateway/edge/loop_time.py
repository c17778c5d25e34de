"""The event loop's time that requests take in long pieces, charged to their tenants.

While a piece of a request runs, nobody else is served. Short pieces, as ordinary requests have, are free. A tenant that has
used its allowance of long ones rests three times as long before its next.
"""

import asyncio
from collections.abc import Awaitable, Generator
from contextvars import ContextVar
from time import monotonic, thread_time
from typing import Any, Generic, TypeVar

from turnstile.producers.gateway.edge.client_presence import check_client
from turnstile.producers.gateway.edge.loop_accounts import Account

T = TypeVar("T")

_LONG_SECONDS = 0.02
_PIECE_SECONDS = 0.01
"""Pieces in which long work is done; too short to be charged again."""

loop_account: ContextVar[Account | None] = ContextVar("loop_account", default=None)
"""The account of the tenant whose request is served; None where there are no API keys."""


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
