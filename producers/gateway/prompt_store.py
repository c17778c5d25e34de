"""A turn store for callers that prefer an error to a long wait."""

import asyncio
from contextvars import ContextVar
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from turnstile.turns.errors import QueueUnreachable
from turnstile.turns.store.runner import Call, operation
from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.turns.text import as_text

T = TypeVar("T")

ANSWER_SECONDS = 15.0
CALLS_OF_A_KEY = 16
"""Calls that requests of one API key may have open at once. Replies come in order, and one may have 16 MB."""

api_key: ContextVar[str] = ContextVar("api_key", default="")
"""The id of the API key whose request is served."""


class PromptStore(AsyncTurnStore):
    """Turns in Redis; no call takes longer than ANSWER_SECONDS."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._slots: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def run(self, call: Call[T]) -> T:
        """Make a call. Raises as AsyncTurnStore does, and QueueUnreachable when the time is up."""
        if not (key := api_key.get()):
            return await self._run_in_time(call)
        async with self._slots.setdefault(key, asyncio.Semaphore(CALLS_OF_A_KEY)):
            return await self._run_in_time(call)

    async def _run_in_time(self, call: Call[T]) -> T:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await super().run(call)
        except TimeoutError:
            raise QueueUnreachable(f"Redis did not answer within {ANSWER_SECONDS:g} seconds.") from None

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
