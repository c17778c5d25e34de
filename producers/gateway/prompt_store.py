"""A turn store for callers that prefer an error to a long wait."""

import asyncio
from typing import TypeVar

from turnstile.turns.errors import QueueUnreachable
from turnstile.turns.store.runner import Call, operation
from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.turns.text import as_text

T = TypeVar("T")

ANSWER_SECONDS = 15.0


class PromptStore(AsyncTurnStore):
    """Turns in Redis; no call takes longer than ANSWER_SECONDS."""

    async def run(self, call: Call[T]) -> T:
        """Make a call. Raises as AsyncTurnStore does, and QueueUnreachable when the time is up."""
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
