"""Refusals of a model. OpenAI's API keeps them apart from answers, and LangChain drops them.

Here it becomes the text of the answer, whole, and the finish reason tells that it is a refusal.
"""

from typing import Any

from turnstile.memory.element import REFUSAL

_FILTERED = "content_filter"


def speak_refusal(choice: dict[str, Any]) -> None:
    """Make the refusal in a choice of a whole completion its text."""
    message = choice.get("message") or {}
    if message.get("refusal") and not message.get("content"):
        _say(choice, message, message["refusal"])


class HeldRefusal:
    """Holds a streamed refusal back until the end of the stream: text that was streamed could not be taken back."""

    def __init__(self) -> None:
        self._held: list[str] = []
        self._spoken = False

    def hold(self, chunk: dict[str, Any]) -> dict[str, Any]:
        """Return the chunk without the refusal in it; the one with the finish reason holds all of it."""
        for choice in chunk.get("choices") or ():
            delta = choice["delta"] = choice.get("delta") or {}
            self._spoken = self._spoken or bool(delta.get("content"))
            if not delta.get("content") and (refusal := delta.pop("refusal", None)):
                self._held.append(refusal)
            if self._held and (self._spoken or choice.get("finish_reason")):
                self._release(choice)
        return chunk

    def rest(self) -> list[dict[str, Any]]:
        """Return the chunks that are still held when a stream ends without a finish reason."""
        return [self.hold({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})] if self._held else []

    def _release(self, choice: dict[str, Any]) -> None:
        text, self._held = "".join((*self._held, choice["delta"].get("content") or "")), []
        if self._spoken:
            choice["delta"]["content"] = text
        else:
            _say(choice, choice["delta"], text)


def _say(choice: dict[str, Any], message: dict[str, Any], text: str) -> None:
    message["content"] = text
    if choice.get("finish_reason") != _FILTERED:
        choice["finish_reason"] = REFUSAL
