"""The events of a graph's run: text as models write it, and steps as they begin and end."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage

from turnstile.memory.element import REFUSAL
from turnstile.workers.chains.run import ChainEvent, RefusalDelta, StepDelta, TextDelta

_SOURCE = "lc_source"


class Narration:
    """The events for a listener. Calls of models that middlewares make for themselves are not part of the answer."""

    def __init__(self, listener: Callable[[ChainEvent | StepDelta], object] | None) -> None:
        self._listener = listener
        self._told: dict[str, int] = {}

    def hear_message(self, message: BaseMessage, about: Mapping[str, Any]) -> None:
        """Tell a piece of a message, or the rest of a whole one."""
        if isinstance(message, AIMessage) and not about.get(_SOURCE):
            self._tell(message, whole=not isinstance(message, AIMessageChunk))

    def hear_task(self, task: Mapping[str, Any]) -> None:
        """Tell that a step has begun or ended."""
        if self._listener:
            self._listener(StepDelta(str(task["name"]), done="input" not in task))

    def repeat(self, messages: Iterable[BaseMessage]) -> None:
        """Tell whole messages of an earlier attempt: readers start over with each."""
        for message in messages:
            if isinstance(message, AIMessage):
                self._tell(message, whole=True)

    def _tell(self, message: AIMessage, *, whole: bool) -> None:
        text, id = str(message.text), str(message.id)
        rest = text[self._told.get(id, 0) :] if whole else text
        if not rest or not self._listener:
            return
        self._told[id] = self._told.get(id, 0) + len(rest)
        refusal = message.response_metadata.get("finish_reason") == REFUSAL
        self._listener((RefusalDelta if refusal else TextDelta)(rest))
