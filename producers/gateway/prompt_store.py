"""A turn store for callers that prefer an error to a long wait."""

import asyncio
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from turnstile.producers.gateway.edge.client_presence import check_client
from turnstile.producers.gateway.edge.loop_accounts import Account
from turnstile.producers.gateway.edge.loop_time import loop_account
from turnstile.turns.errors import QueueUnreachable
from turnstile.turns.redis.connection import multiplexer
from turnstile.turns.redis.script_arguments import Word
from turnstile.turns.store.runner import Call, operation
from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.turns.text import as_text

T = TypeVar("T")

ANSWER_SECONDS = 15.0
CALLS_OF_A_KEY = 16
"""Calls that requests of one API key may have open at once. Replies come in order, and one may have 16 MB."""
_LARGE_BYTES = 1_048_576
_BYTES_A_SECOND = 100_000_000
"""Bytes of large replies that stand for a second of the event loop: a server sends them and the loop reads them meanwhile."""
_READS = frozenset({"HGETALL", "HMGET", "LINDEX", "LLEN", "LRANGE", "XRANGE", "ZRANGE", "ZREVRANGE"})

api_key: ContextVar[str] = ContextVar("api_key", default="")
"""The id of the API key whose request is served."""


class PromptStore(AsyncTurnStore):
    """Turns in Redis; no call takes longer than ANSWER_SECONDS.

    A request that has written nothing ends at a call whose client has left: before it, and before its reply is read.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._places: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def run(self, call: Call[T]) -> T:
        """Make a call. Raises as AsyncTurnStore does, QueueUnreachable when the time is up, and ClientGone."""
        check_client()
        if not (key := api_key.get()):
            return await self._run_in_time(call)
        place = _Place(self._places.setdefault(key, asyncio.Semaphore(CALLS_OF_A_KEY)))
        async with place:
            outer = _place.set(place)
            try:
                return await self._run_at_a_pace(call)
            finally:
                _place.reset(outer)

    async def _run_at_a_pace(self, call: Call[T]) -> T:
        account = loop_account.get()
        if account is None or not account.rests:
            return await self._run_in_time(call)
        async with account.line:
            check_client()
            await account.rest()
            return await self._run_in_time(call)

    async def _run_in_time(self, call: Call[T]) -> T:
        check_client(writes=not self._only_reads(call))
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await super().run(call)
        except TimeoutError:
            raise QueueUnreachable(f"Redis did not answer within {ANSWER_SECONDS:g} seconds.") from None

    async def _send(self, *command: Word) -> Any:
        reply = multiplexer(self.url).execute(*command)
        if place := _place.get():
            # A reply is still to come when the caller has given up, and all others stand behind it.
            place.keep_until(reply)
            if account := loop_account.get():
                reply.add_done_callback(partial(_charge, account))
            reply = asyncio.shield(reply)
        found = await reply
        check_client()
        return found

    def _only_reads(self, call: Call[Any]) -> bool:
        script = self.scripts.get(call.name)
        return script.only_reads if script else call.name in _READS

    @operation
    def once(self, name: str, value: str, seconds: float | None = None) -> Call[str]:
        """Return the value first given under a name: `value`, or an earlier one; kept as long as a finished turn by default."""
        args = (self.keys.once(name), value, "PX", round((seconds or self.settings.result_ttl) * 1000), "NX", "GET")
        return Call("SET", args, lambda reply: value if reply is None else as_text(reply))

    @operation
    def put(self, name: str, value: str, seconds: float) -> Call[str]:
        """Give a value under a name, in place of an earlier one, and return it."""
        args = (self.keys.once(name), value, "PX", round(seconds * 1000))
        return Call("SET", args, lambda _: value)


class _Place:
    """One of the places of a key, for a call and until all its replies have come."""

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places = places
        self._uses = 1

    async def __aenter__(self) -> None:
        await self._places.acquire()

    async def __aexit__(self, *_: object) -> None:
        self._leave()

    def keep_until(self, reply: "asyncio.Future[Any]") -> None:
        """Keep the place until a reply has come."""
        self._uses += 1
        reply.add_done_callback(self._leave)

    def _leave(self, *_: object) -> None:
        self._uses -= 1
        if not self._uses:
            self._places.release()


_place: ContextVar[_Place | None] = ContextVar("place", default=None)


def _charge(account: Account, arrived: "asyncio.Future[Any]") -> None:
    if arrived.cancelled() or arrived.exception():
        return
    reply = arrived.result()
    parts = reply if isinstance(reply, list) else [reply]
    size = sum(len(part) for part in parts if isinstance(part, bytes))
    if size > _LARGE_BYTES:
        account.charge(size / _BYTES_A_SECOND)
