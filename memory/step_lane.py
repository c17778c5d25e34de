"""The lane of one attempt: its writes go to Redis one after another, until the turn is lost or the attempt is over."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from turnstile.memory.step_errors import LaneClosed, StepError

T = TypeVar("T")


class StepLane:
    """Writes of an attempt, in order. Closing it is local: a cancelled graph still tries to write, and must not."""

    def __init__(
        self, insist: Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]], stop: Callable[[StepError], object]
    ) -> None:
        """`insist` repeats a call while Redis is away; `stop` ends the attempt for an error."""
        self._insist = insist
        self._stop = stop
        self._turns = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self.closed = False

    def close(self) -> None:
        """Let nothing more be written."""
        self.closed = True

    def fail(self, error: StepError) -> None:
        """Close the lane, and end the attempt."""
        if not self.closed:
            self.close()
            self._stop(error)

    async def write(self, call: Callable[[], Awaitable[bool]]) -> None:
        """Make a call that tells whether the turn is still this attempt's. Raises LaneClosed."""
        async with self._turns:
            await self.ask(call)

    async def ask(self, call: Callable[[], Awaitable[bool]]) -> None:
        """As `write`, beside the writes. Raises LaneClosed."""
        if self.closed:
            raise _closed()
        if not await self._insist(call):
            # First the graph is stopped: an error alone is caught by retries and fallbacks.
            self.fail(LaneClosed("The turn is in other hands."))
            raise _closed()

    async def read(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call that writes nothing."""
        result: T = await self._insist(call)
        return result

    def wait_for(self, call: Coroutine[Any, Any, T]) -> T:
        """Run a call on the attempt's loop, for a thread of a graph."""
        if _running() is self._loop:
            call.close()
            raise RuntimeError("A graph was called on the event loop: await its ainvoke or astream there.")
        return asyncio.run_coroutine_threadsafe(call, self._loop).result()

    @property
    def here(self) -> bool:
        """True on the attempt's own loop."""
        return _running() is self._loop


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _closed() -> LaneClosed:
    return LaneClosed("This attempt is over: its turn is in other hands, or has ended.")
