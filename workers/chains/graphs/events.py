"""The events of a graph's run: text and reasoning as models write them, and steps as they begin and end."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage

from turnstile.memory.element import REFUSAL, reasoning_text
from turnstile.workers.chains.run import (
    ChainEvent,
    GraphEvent,
    ReasoningDelta,
    RefusalDelta,
    StartsOver,
    StepDelta,
    TextDelta,
)

_SOURCE = "lc_source"
HOOKS = (".before_agent", ".before_model", ".after_model", ".after_agent")


class RunEvents:
    """The events for a listener. Calls of models that middlewares make for themselves are not part of the answer."""

    def __init__(self, listener: Callable[[GraphEvent], object] | None) -> None:
        self._listener = listener
        self._sent: dict[tuple[str, bool], ChainEvent] = {}
        self._void: set[str] = set()
        self._stale = False
        self._steps: dict[str, str] = {}
        self.advanced = False
        """True when a step has ended that is no hook of a middleware."""
        self.calls = Calls(self.take_back)

    def send_message(self, message: BaseMessage, about: Mapping[str, Any]) -> None:
        """Send a piece of a message, or the rest of a whole one."""
        if isinstance(message, AIMessage) and not about.get(_SOURCE):
            self._send(message, whole=not isinstance(message, AIMessageChunk))

    def send_step(self, task: Mapping[str, Any]) -> None:
        """Send that a step has begun or ended: a call of a tool under the tool's name, a middleware's hook not at all."""
        name, done = str(task["name"]), "input" not in task
        if name.endswith(HOOKS):
            return
        self.advanced = self.advanced or (done and not task["error"])
        if not self._listener:
            return
        if done:
            name = self._steps.pop(task["id"], name)
        else:
            name = self._steps[task["id"]] = _tool(task["input"]) or name
        self._listener(StepDelta(name, done))

    def send_again(self, messages: Iterable[BaseMessage]) -> None:
        """Send whole messages of an earlier attempt: readers start over with each."""
        for message in messages:
            if isinstance(message, AIMessage):
                self._send(message, whole=True)

    def take_back(self, id: str) -> None:
        """Take back a message whose model's call has failed. Readers hear of it before other text, or from `settle`."""
        self._void.add(id)
        taken = [self._sent.pop((id, thinks), None) for thinks in (True, False)]
        self._stale = self._stale or any(taken)

    def begun(self, known: Collection[str]) -> str:
        """Return the text of messages that models have begun, and no step has kept."""
        sent = self._sent.items()
        return "".join(delta.text for (id, thinks), delta in sent if not thinks and id not in known)

    def settle(self) -> None:
        """Let readers start over where something that was sent has been taken back."""
        if self._stale and self._listener:
            self._stale = False
            self._listener(StartsOver())
            for delta in self._sent.values():
                self._listener(delta)

    def _send(self, message: AIMessage, *, whole: bool) -> None:
        thought = reasoning_text(message.content, message.additional_kwargs)
        self._send_rest(ReasoningDelta, message, thought, whole)
        refusal = message.response_metadata.get("finish_reason") == REFUSAL
        self._send_rest(RefusalDelta if refusal else TextDelta, message, str(message.text), whole)

    def _send_rest(self, kind: type[ChainEvent], message: AIMessage, text: str, whole: bool) -> None:
        """Send a piece of a message, or of a whole one what has not been sent."""
        place = str(message.id), kind is ReasoningDelta
        before = self._sent[place].text if place in self._sent else ""
        rest = text[len(before) :] if whole else text
        if rest and self._listener and message.id not in self._void:
            self.settle()
            self._sent[place] = kind(before + rest)
            self._listener(kind(rest))


class Calls(BaseCallbackHandler):
    """A listener to the calls of models and tools, on the loop and in threads, for those that fail.

    `failed` hears of messages whose calls have failed midway.
    """

    run_inline = True

    def __init__(self, failed: Callable[[str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._failed = failed
        self._messages: dict[UUID, str] = {}
        self._of_models: list[BaseException] = []
        self._of_tools: list[BaseException] = []

    def raised_by_tool(self, error: BaseException) -> bool:
        """Return whether an error comes from a tool, and not from a model that a tool has asked."""
        return any(error is one for one in self._of_tools) and not any(error is one for one in self._of_models)

    def on_llm_new_token(self, *_: Any, chunk: Any = None, run_id: UUID, **__: Any) -> None:
        if id := getattr(getattr(chunk, "message", None), "id", None):
            self._messages[run_id] = id

    def on_llm_end(self, *_: Any, run_id: UUID, **__: Any) -> None:
        self._messages.pop(run_id, None)

    def on_tool_error(self, error: BaseException, **_: Any) -> None:
        self._of_tools.append(error)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        self._of_models.append(error)
        if id := self._messages.pop(run_id, None):
            self._loop.call_soon_threadsafe(self._failed, id)


def _tool(given: Any) -> str:
    """Return the name of the tool that a step calls; empty for any other step."""
    if isinstance(given, dict):
        call = given.get("tool_call")
    else:
        call = given[0] if isinstance(given, list | tuple) and len(given) == 1 else None
    return str(call["name"]) if isinstance(call, dict) and call.get("type") == "tool_call" else ""
