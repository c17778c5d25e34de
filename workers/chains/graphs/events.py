"""The events of a graph's run: text and reasoning as models write them, and steps as they begin and end."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage

from turnstile.memory.element import REFUSAL, reasoning_text
from turnstile.workers.chains.run import ChainEvent, ReasoningDelta, RefusalDelta, StepDelta, TextDelta

_SOURCE = "lc_source"
_HOOKS = (".before_agent", ".before_model", ".after_model", ".after_agent")


class RunEvents:
    """The events for a listener. Calls of models that middlewares make for themselves are not part of the answer."""

    def __init__(self, listener: Callable[[ChainEvent | StepDelta], object] | None) -> None:
        self._listener = listener
        self._sent: dict[str, int] = {}
        self._steps: dict[str, str] = {}

    def send_message(self, message: BaseMessage, about: Mapping[str, Any]) -> None:
        """Send a piece of a message, or the rest of a whole one."""
        if isinstance(message, AIMessage) and not about.get(_SOURCE):
            self._send(message, whole=not isinstance(message, AIMessageChunk))

    def send_step(self, task: Mapping[str, Any]) -> None:
        """Send that a step has begun or ended: a call of a tool under the tool's name, a middleware's hook not at all."""
        name, done = str(task["name"]), "input" not in task
        if not self._listener or name.endswith(_HOOKS):
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

    def _send(self, message: AIMessage, *, whole: bool) -> None:
        thought = reasoning_text(message.content, message.additional_kwargs)
        self._send_rest(ReasoningDelta, message, thought, whole)
        refusal = message.response_metadata.get("finish_reason") == REFUSAL
        self._send_rest(RefusalDelta if refusal else TextDelta, message, str(message.text), whole)

    def _send_rest(self, kind: type[ChainEvent], message: AIMessage, text: str, whole: bool) -> None:
        """Send a piece of a message, or of a whole one what has not been sent."""
        id = f"{message.id} {kind is ReasoningDelta}"
        rest = text[self._sent.get(id, 0) :] if whole else text
        if rest and self._listener:
            self._sent[id] = self._sent.get(id, 0) + len(rest)
            self._listener(kind(rest))


def _tool(given: Any) -> str:
    """Return the name of the tool that a step calls; empty for any other step."""
    if isinstance(given, dict):
        call = given.get("tool_call")
    else:
        call = given[0] if isinstance(given, list | tuple) and len(given) == 1 else None
    return str(call["name"]) if isinstance(call, dict) and call.get("type") == "tool_call" else ""
