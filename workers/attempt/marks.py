"""Marks of the messages that an attempt adds to the history: their places, and whose calls they hold."""

from collections.abc import Collection, Sequence
from typing import Any

from langchain_core.messages import BaseMessage, ToolMessage

from turnstile.memory.calls import calls_of
from turnstile.turns.output import Output, call_name, open_calls

Marks = dict[str, Any]


def marks_of(messages: Sequence[BaseMessage], brought: int, attempt: int, output: Output) -> list[Marks]:
    """Return a mark for each message; the first ones, `brought`, are not the worker's, and the last is the answer."""
    asked = {call_name(item) for item in open_calls(output)}
    marks: list[Marks] = [{"place": n} for n in range(len(messages))]
    marks[-1:] = [{"attempt": attempt}] if messages else []
    for message, mark in list(zip(messages, marks, strict=True))[brought:]:
        mark |= _ownership(message, asked)
    return marks


def _ownership(message: BaseMessage, asked: Collection[str]) -> Marks:
    """Return the part of a mark that tells of the worker's own calls; `asked` are those of the client."""
    if isinstance(message, ToolMessage):
        return {"run": True}
    calls = calls_of(message)
    return {"own": True} if calls and not any(call["id"] in asked for call in calls) else {}
