"""The queue as one gateway process sees it: its store, its wake-ups, and the requests that wait for a turn."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

from turnstile.producers.gateway.disconnect import Receive, disconnected, while_connected
from turnstile.producers.gateway.edge.api_errors import NO_RETRY, ApiError, ClientGone, Restarting
from turnstile.producers.gateway.edge.client_presence import without_client
from turnstile.producers.gateway.model_server.client import ModelServer
from turnstile.producers.gateway.prompt_store import PromptStore
from turnstile.producers.reading.agreement import Agreement
from turnstile.producers.reading.chains import Chains
from turnstile.producers.reading.follow import ended
from turnstile.producers.reading.wakeups import Wakeups, wakeups_at
from turnstile.turns.asyncio_tasks import end_all
from turnstile.turns.errors import QueueUnreachable, SettingError, TurnstileError
from turnstile.turns.question import Options
from turnstile.turns.redis.connection import close_async
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.durability import faults
from turnstile.turns.turn import TurnResult

log = logging.getLogger(__name__)

T = TypeVar("T")

_CLOSE_SECONDS = 2.0
RETURN_SECONDS = 5.0
"""Time for a client that disconnected to repeat a request with an idempotency key, before its turn is cancelled."""


class Backend:
    """One process's access to the queue, and its waiting requests."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = PromptStore(settings)
        self.agreement = Agreement(settings)
        self.model_server = ModelServer(settings, self.store)
        self._chains = Chains()
        self._logged = ""
        self._readable = False
        self._waiting: Counter[str] = Counter()
        self._requests: set[asyncio.Task[Any]] = set()
        self._background: set[asyncio.Task[Any]] = set()

    async def check(self) -> None:
        """Check that this version can read what is stored, once, and that the workers have the same settings.

        Raises:
            SettingError: one of them does not hold.
            QueueUnreachable: Redis does not answer.
        """
        if not self._readable:
            if objection := await self.store.check_schema():
                raise SettingError(objection)
            self._readable = True
        await self.agreement.check_async(self.store)

    async def agree(self) -> None:
        """Check as `check` does; the log names a difference once.

        Raises:
            ApiError: the settings differ.
            QueueUnreachable: Redis does not answer.
        """
        try:
            with without_client():
                await self.check()
        except SettingError as error:
            if str(error) != self._logged:
                log.error("%s", error)
            self._logged = str(error)
            message = "This gateway and the workers do not go together; the gateway's log has the reason."
            raise ApiError(503, message, None, "settings_differ", {"retry-after": "10"}) from None
        self._logged = ""

    async def chains(self) -> list[str]:
        """Return the names of the chains that a request can choose as its model."""
        return sorted(await self._names())

    async def chosen(self, options: Options) -> Options:
        """Return a request's options, with the chain that its model names, if one has this name."""
        if options.model is None or options.model not in await self._names():
            return options
        return replace(options, chain=options.model, model=None)

    async def _names(self) -> frozenset[str]:
        with without_client():
            return await self._chains.names(self.store)

    @property
    def wakeups(self) -> Wakeups:
        """The wake-ups of readers."""
        return wakeups_at(self.store.url, self.store.keys)

    def check_rights(self) -> None:
        """Log the rights that the Redis user lacks, and the server's settings that lose turns, as soon as Redis answers."""
        self._start(self._log_lacking_rights())

    async def _log_lacking_rights(self) -> None:
        with suppress(QueueUnreachable):
            for fault in faults(await self.store.info()):
                log.warning("%s", fault)
        with suppress(QueueUnreachable):
            if lacking := await self.store.lacking("gateway"):
                log.error("the Redis user in REDIS_URL lacks %s: grant them with ACL SETUSER", " ".join(lacking))

    async def close(self) -> None:
        """End background tasks and connections; interrupted requests are answered first."""
        if self._requests:
            await asyncio.wait({*self._requests}, timeout=_CLOSE_SECONDS)
        await end_all(self._background)
        await self.model_server.close()
        closing = asyncio.ensure_future(self.wakeups.close())
        await asyncio.wait({closing}, timeout=_CLOSE_SECONDS)
        await close_async(self.store.url)

    async def outcome(self, id: str, keyed: bool, receive: Receive) -> TurnResult:
        """Return the record of a turn when it has ended, for a client that waits as in `waiting`."""
        try:
            return await self.waiting(id, keyed)(ended(self.store, self.wakeups, id), disconnected(receive))
        except _Restarting as error:
            if error.record and error.record.state is not State.CANCELLED:
                return error.record
            raise

    async def end_of(self, id: str, receive: Receive) -> None:
        """Return when a turn of another request has ended; the turn goes on if this client or the gateway leaves first."""
        try:
            await while_connected(ended(self.store, self.wakeups, id), disconnected(receive))
        except asyncio.CancelledError:
            raise _Restarting from None

    def waiting(self, id: str, keyed: bool) -> Callable[[Awaitable[T], Awaitable[None]], Awaitable[T]]:
        """Return a form of `while_connected` for a client that waits for turn `id`.

        The turn is cancelled when the client disconnects first, and when the gateway stops first, unless an idempotency key
        (`keyed`) leads a repeated request to the same turn.
        """

        async def wait(work: Awaitable[T], leaving: Awaitable[None]) -> T:
            self._note_request()
            self._waiting[id] += 1
            try:
                return await while_connected(work, leaving)
            except asyncio.CancelledError:
                raise _Restarting() if keyed else await self._withdraw(id) from None
            except ClientGone:
                self._start(self._abandon(id, RETURN_SECONDS if keyed else 0))
                raise
            finally:
                self._waiting[id] -= 1
                if not self._waiting[id]:
                    del self._waiting[id]

        return wait

    def _note_request(self) -> None:
        task = asyncio.current_task()
        assert task
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)

    async def _withdraw(self, id: str) -> "_Restarting":
        """Cancel a turn, because a repeated request would ask it a second time; forbid the repeat if that is not certain."""
        cancelling = self._start(self._cancelled(id))
        await asyncio.wait({cancelling}, timeout=_CLOSE_SECONDS)
        record = cancelling.result() if cancelling.done() else None
        return _Restarting(record, {"retry-after": "1"} if record else NO_RETRY)

    async def _cancelled(self, id: str) -> TurnResult | None:
        """Cancel a turn for which nobody waits any more, and return its record; None if that is not certain."""
        with suppress(TurnstileError):
            return await self.store.result(id) if await self._cancel(id) else None
        return None

    async def _cancel(self, id: str) -> bool:
        """Cancel a turn; False for one that answers other questions, too, and goes on."""
        if (await self.store.outline(id)).shared:
            return False
        await self.store.cancel(id)
        return True

    async def _abandon(self, id: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if id not in self._waiting:
            with suppress(TurnstileError):
                await self._cancel(id)

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        with without_client():
            task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task


class _Restarting(Restarting):
    """The gateway stops before or just after the end of a turn that a client waits for; `record` is then the turn's end."""

    def __init__(self, record: TurnResult | None = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(headers)
        self.record = record
