"""A guard of a graph's run: before each call of a model or a tool it asks whether the turn is still ours, and counts.

Callbacks tell of every call, wherever a graph makes it: the awaited handler hears of those on the attempt's loop, the blocking
one of those in threads. An error alone stops nothing, because retries and fallbacks catch it: the run is cancelled first.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.outputs import LLMResult

from turnstile.memory.step_errors import LaneClosed, StepError
from turnstile.memory.step_lane import StepLane
from turnstile.turns.settings import Settings
from turnstile.turns.turn import Spent


class LimitReached(StepError):
    """A turn has had as many model calls, tokens or steps as the settings allow."""

    code = "limit_reached"


class Guard:
    """The limits of one turn, over all its attempts, and the question whether it goes on."""

    def __init__(self, lane: StepLane, owns: Callable[[], Awaitable[bool]], spent: Spent, settings: Settings) -> None:
        """`owns` notes what was spent, too."""
        self.lane = lane
        self._owns = owns
        self._spent = spent
        self._settings = settings
        self.handlers: list[BaseCallbackHandler] = [_Awaited(self), _Blocking(self)]

    async def before_model(self) -> None:
        """Count a call of a model, before it is made. Raises StepError."""
        most_calls, most_tokens = self._settings.max_model_calls, self._settings.max_turn_tokens
        if self._spent.model_calls >= most_calls:
            self._refuse(f"The turn has made {most_calls:,} calls of models, the most that TURNSTILE_MAX_MODEL_CALLS allows.")
        if most_tokens and self._spent.tokens >= most_tokens:
            self._refuse(f"The turn has used {self._spent.tokens:,} tokens; TURNSTILE_MAX_TURN_TOKENS allows {most_tokens:,}.")
        self._spent.model_calls += 1
        await self.before_call()

    def check_steps(self) -> None:
        """Raise StepError when the turn has made as many steps as it may."""
        most = self._settings.max_steps
        if self._spent.steps >= most:
            self._refuse(f"The turn has made {most:,} steps, the most that TURNSTILE_MAX_STEPS allows.")

    async def before_call(self) -> None:
        """Ask whether the turn is still this attempt's. Raises LaneClosed."""
        await self.lane.ask(self._owns)

    def after_model(self, result: LLMResult) -> None:
        """Count the tokens of a call."""
        for generation in (one for group in result.generations for one in group):
            usage = getattr(getattr(generation, "message", None), "usage_metadata", None)
            self._spent.tokens += usage["total_tokens"] if usage else 0

    def _refuse(self, message: str) -> None:
        error = LimitReached(message)
        self.lane.fail(error)
        raise error


class _Awaited(AsyncCallbackHandler):
    raise_error = True

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        await self._pass(self._guard.before_model)

    async def on_llm_start(self, *_: Any, **__: Any) -> None:
        await self._pass(self._guard.before_model)

    async def on_tool_start(self, *_: Any, **__: Any) -> None:
        await self._pass(self._guard.before_call)

    async def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        if self._guard.lane.here:
            self._guard.after_model(response)

    async def _pass(self, ask: Callable[[], Awaitable[None]]) -> None:
        if not self._guard.lane.here:
            return
        try:
            await ask()
        except StepError:
            # The run is being cancelled: what catches errors must not take this for one.
            raise asyncio.CancelledError from None


class _Blocking(BaseCallbackHandler):
    raise_error = True
    run_inline = True

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        self._pass(self._guard.before_model)

    def on_llm_start(self, *_: Any, **__: Any) -> None:
        self._pass(self._guard.before_model)

    def on_tool_start(self, *_: Any, **__: Any) -> None:
        self._pass(self._guard.before_call)

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        if not self._guard.lane.here:
            self._guard.after_model(response)

    def _pass(self, ask: Callable[[], Any]) -> None:
        if self._guard.lane.here:
            return
        try:
            self._guard.lane.wait_for(ask())
        except StepError as error:
            raise LaneClosed(str(error)) from None
