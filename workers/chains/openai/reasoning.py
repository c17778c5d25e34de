"""Reasoning that servers send beside an answer, and LangChain's integration of OpenAI drops: from the wire, and back to it."""

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from turnstile.memory.element import REASONING

_NAMES = (REASONING, "reasoning")
"""The fields of a message or a delta in which servers send it."""


def note_reasoning(told: Any, message: BaseMessage) -> None:
    """Keep the reasoning of a message or a delta where LangChain's integrations keep it."""
    for name in _NAMES:
        text = told.get(name) if isinstance(told, dict) else None
        if isinstance(text, str) and text:
            message.additional_kwargs[REASONING] = text
            return


def return_reasoning(messages: Sequence[BaseMessage], payload: Sequence[dict[str, Any]]) -> None:
    """Add the reasoning of this exchange's calls to a request: servers that send it want it back with the calls' answers."""
    for message, told in zip(reversed(messages), reversed(payload), strict=True):
        if isinstance(message, HumanMessage):
            return
        if isinstance(message, AIMessage) and told.get("tool_calls") and (text := message.additional_kwargs.get(REASONING)):
            told[REASONING] = text
