"""What all routes of one gateway process work with."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request

from turnstile.producers.gateway.edge.caller import Caller
from turnstile.producers.gateway.edge.errors import NO_RETRY, ApiError, ClientGone, missing
from turnstile.producers.reading.agreement import Agreement
from turnstile.producers.reading.follow import ended
from turnstile.producers.reading.watch import Watch, watch_at
from turnstile.turns.asyncio_tasks import end_all
from turnstile.turns.errors import InvalidTurn, QueueUnreachable, SettingError, TurnstileError, UnknownTurn
from turnstile.turns.ids import check_turn
from turnstile.turns.redis.connection import close_async
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.runner import Call, operation
from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.turns.text import as_text
from turnstile.turns.turn import Record

log = logging.getLogger(__name__)

T = TypeVar("T")

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

    @operation
    def once(self, name: str, value: str) -> Call[str]:
        """What was first given under a name: `value`, or what had been given before. Kept as long as a finished turn."""
        args = (self.keys.once(name), value, "PX", round(self.settings.result_ttl * 1000), "NX", "GET")
        return Call("SET", args, lambda reply: value if reply is None else as_text(reply))


class Desk:
    """One process's way to the queue, and who waits at it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = PromptStore(settings)
        self.agreement = Agreement(settings)
        self._told = ""
        self._waiting: Counter[str] = Counter()
        self._attending: set[asyncio.Task[Any]] = set()
        self._errands: set[asyncio.Task[Any]] = set()

    async def agree(self) -> None:
        """Raises ApiError when the workers store by other settings, and the log is told which, once; QueueUnreachable."""
        try:
            await self.agreement.check_async(self.store)
        except SettingError as error:
            if str(error) != self._told:
                log.error("%s", error)
            self._told = str(error)
            message = "The gateway and the workers have different settings; the gateway's log names them."
            raise ApiError(503, message, None, "settings_differ", {"retry-after": "10"}) from None
        self._told = ""

    @property
    def watch(self) -> Watch:
        """What wakes readers."""
        return watch_at(self.store.url, self.store.keys)

    def check_rights(self) -> None:
        """Warn of rights that our Redis user lacks, as soon as Redis answers."""
        self._send(self._warn_of_rights())

    async def _warn_of_rights(self) -> None:
        with suppress(QueueUnreachable):
            if lacking := await self.store.lacking("gateway"):
                log.error("the Redis user in REDIS_URL lacks %s: grant them with ACL SETUSER", " ".join(lacking))

    async def close(self) -> None:
        """End what is under way, and the connections; requests that were cut short are answered first."""
        if self._attending:
            await asyncio.wait({*self._attending}, timeout=_CLOSE_SECONDS)
        await end_all(self._errands)
        closing = asyncio.ensure_future(self.watch.close())
        await asyncio.wait({closing}, timeout=_CLOSE_SECONDS)
        await close_async(self.store.url)

    async def look_up(self, caller: Caller, id: str, param: str = "response_id") -> Record:
        """A caller's turn. Raises ApiError when it has none of this id."""
        try:
            return caller.own(await self.store.status(check_turn(id)), param)
        except (InvalidTurn, UnknownTurn):
            raise missing(param, "Response", id) from None

    async def outcome(self, id: str, keyed: bool, receive: Callable[[], Awaitable[Any]]) -> Record:
        """The record of a turn, once it has ended, for a client that waits as `attending` has it."""
        try:
            return await self.attending(id, keyed)(ended(self.store, self.watch, id), gone(receive))
        except _Restarting as error:
            if error.record and error.record.state is not State.CANCELLED:
                return error.record
            raise

    async def end_of(self, id: str, receive: Callable[[], Awaitable[Any]]) -> None:
        """Return when a turn that is another request's has ended; this client, or the gateway, may leave it before."""
        try:
            await while_there(ended(self.store, self.watch, id), gone(receive))
        except asyncio.CancelledError:
            raise _Restarting from None

    def attending(self, id: str, keyed: bool) -> Callable[[Awaitable[T], Awaitable[None]], Awaitable[T]]:
        """As `while_there`, for a client that waits for turn `id`.

        When the client goes away first, the turn is cancelled; when the gateway does, too, unless a key leads a repeat to it.
        """

        async def attend(what: Awaitable[T], leaving: Awaitable[None]) -> T:
            self._note_attending()
            self._waiting[id] += 1
            try:
                return await while_there(what, leaving)
            except asyncio.CancelledError:
                raise _Restarting() if keyed else await self._withdraw(id) from None
            except ClientGone:
                self._send(self._abandon(id, RETURN_SECONDS if keyed else 0))
                raise
            finally:
                self._waiting[id] -= 1
                if not self._waiting[id]:
                    del self._waiting[id]

        return attend

    def _note_attending(self) -> None:
        task = asyncio.current_task()
        assert task
        self._attending.add(task)
        task.add_done_callback(self._attending.discard)

    async def _withdraw(self, id: str) -> "_Restarting":
        """Cancel a turn that a repeat would ask a second time; where that is not known to be done, none must come."""
        cancelling = self._send(self._cancel(id))
        await asyncio.wait({cancelling}, timeout=_CLOSE_SECONDS)
        record = cancelling.result() if cancelling.done() else None
        return _Restarting(record, {"retry-after": "1"} if record else NO_RETRY)

    async def _cancel(self, id: str) -> Record | None:
        with suppress(TurnstileError):
            await self.store.cancel(id)
            return await self.store.status(id)
        return None

    async def _abandon(self, id: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if id not in self._waiting:
            await self._cancel(id)

    def _send(self, errand: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(errand)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)
        return task


class _Restarting(ApiError):
    """The gateway ends before the turn that a client waits for, or just after: then it has ended as `record` says."""

    def __init__(self, record: Record | None = None, headers: Mapping[str, str] | None = None) -> None:
        told = headers or {"retry-after": "1"}
        super().__init__(503, "The gateway is restarting; ask again.", None, "restarting", told)
        self.record = record


async def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    await desk.agree()
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
        await end_all([waiting, away])


async def gone(receive: Callable[[], Awaitable[Any]]) -> None:
    """Return when the client has gone away; the body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass
