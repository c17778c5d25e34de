"""What all routes of one gateway process work with."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request

from producers.http.callers import Caller
from producers.http.errors import ApiError, ClientGone, missing
from producers.watch import Watch, watch_at
from turns.connection import close_async
from turns.errors import InvalidTurn, QueueUnreachable, TurnstileError, UnknownTurn
from turns.settings import Settings
from turns.store import AsyncTurnStore, Call
from turns.wire import Record, check_turn

T = TypeVar("T")

_CANCEL_SECONDS = 0.05
_CLOSE_SECONDS = 2.0
ANSWER_SECONDS = 15.0
RETURN_SECONDS = 5.0
"""How long a client that left a request with an idempotency key may take to repeat it before its turn is cancelled."""


class PromptStore(AsyncTurnStore):
    """Turns in Redis, for those who would rather hear no than nothing: no call takes longer than ANSWER_SECONDS."""

    async def run(self, call: Call[T]) -> T:
        """Make a call. Raises as AsyncTurnStore does; QueueUnreachable, too, when the time is up."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await super().run(call)
        except TimeoutError:
            raise QueueUnreachable(f"Redis did not answer within {ANSWER_SECONDS:g} seconds.") from None


class Desk:
    """One process's way to the queue, and who waits at it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = PromptStore(settings)
        self._waiting: Counter[str] = Counter()
        self._errands: set[asyncio.Task[None]] = set()

    @property
    def watch(self) -> Watch:
        """What wakes readers."""
        return watch_at(self.store.url, self.store.keys)

    async def close(self) -> None:
        """End what is under way, and the connections."""
        await _put_down({*self._errands})
        closing = asyncio.ensure_future(self.watch.close())
        await asyncio.wait({closing}, timeout=_CLOSE_SECONDS)
        await close_async(self.store.url)

    async def look_up(self, caller: Caller, id: str, param: str = "response_id") -> Record:
        """A caller's turn. Raises ApiError when it has none of this id."""
        try:
            return caller.own(await self.store.status(check_turn(id)), param)
        except (InvalidTurn, UnknownTurn):
            raise missing(param, "Response", id) from None

    def attending(self, id: str, keyed: bool) -> Callable[[Awaitable[T], Awaitable[None]], Awaitable[T]]:
        """As `while_there`, for a client that waits for turn `id`; when it goes away first, the turn is cancelled."""

        async def attend(what: Awaitable[T], leaving: Awaitable[None]) -> T:
            self._waiting[id] += 1
            try:
                return await while_there(what, leaving)
            except asyncio.CancelledError:
                raise ApiError(503, "The gateway is restarting; ask again.", None, "restarting", {"retry-after": "1"}) from None
            except ClientGone:
                self._send(self._abandon(id, RETURN_SECONDS if keyed else 0))
                raise
            finally:
                self._waiting[id] -= 1
                if not self._waiting[id]:
                    del self._waiting[id]

        return attend

    async def _abandon(self, id: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if id not in self._waiting:
            with suppress(TurnstileError):
                await self.store.cancel(id)

    def _send(self, errand: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(errand)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)


async def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


AtDesk = Annotated[Desk, Depends(_desk)]


async def while_there(what: Awaitable[T], leaving: Awaitable[None]) -> T:
    """The result of `what`. Raises ClientGone when `leaving`, which ends when the client has gone, ends first."""
    waiting, away = asyncio.ensure_future(what), asyncio.ensure_future(leaving)
    try:
        await asyncio.wait({waiting, away}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            raise ClientGone
        return waiting.result()
    finally:
        await _put_down({waiting, away})


async def _put_down(tasks: set["asyncio.Future[Any]"]) -> None:
    # Before Python 3.12 `asyncio.wait_for`, which redis-py sends with, can swallow a cancellation: say it until it is heard.
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_CANCEL_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)


async def gone(receive: Callable[[], Awaitable[Any]]) -> None:
    """Return when the client has gone away; the body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass
