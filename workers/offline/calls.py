"""Calls of tools that the offline stand-in makes: those that a question asks for, one to a line.

`call NAME {"json": "arguments"}` is a call; lines that follow each other are made at once, and a line that begins with `then`
waits for the answers to those before it. What stands after the name is sent as it is, JSON or not.
"""

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from turnstile.workers.offline.messages import Message, since_question, text_of
from turnstile.workers.offline.schemas import example

_CALL = re.compile(r"^[ \t]*(then[ \t]+)?call[ \t]+([\w.-]{1,64})(?:[ \t]+(\{.*?))?[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a tool. `arguments` is JSON text."""

    id: str
    name: str
    arguments: str

    @classmethod
    def new(cls, name: str, arguments: str) -> "Call":
        """Return a call with an id of its own."""
        return cls(f"call_{uuid.uuid4().hex[:24]}", name, arguments)


def next_calls(request: Mapping[str, Any], question: str) -> list[Call]:
    """Return the calls that are due: the question's, round by round; one that `tool_choice` demands, where it has no more."""
    tools, choice = _functions(request), request.get("tool_choice") or "auto"
    if not tools or choice == "none":
        return []
    steps = since_question(request["messages"])
    rounds = _rounds(question, parallel=request.get("parallel_tool_calls") is not False)
    done = sum(bool(message.get("tool_calls")) for message in steps)
    named = (choice.get("function") or {}).get("name") if isinstance(choice, dict) else None
    due = [call for call in (rounds[done] if done < len(rounds) else ()) if named in (None, call.name)]
    if due or choice == "auto":
        return due
    demanded = next((tool for tool in tools if tool.get("name") == named), tools[-1])
    return [Call.new(str(demanded.get("name")), json.dumps(example(demanded.get("parameters") or {}, question)))]


def results(messages: Sequence[Message]) -> str:
    """Return what tools answered since the newest question, one line for each."""
    steps = since_question(messages)
    names = {call.get("id"): call["function"]["name"] for message in steps for call in message.get("tool_calls") or ()}
    answers = [message for message in steps if message.get("role") == "tool"]
    return "\n".join(
        f"{names.get(one.get('tool_call_id'), 'A tool')} returned {text_of(one.get('content'))}" for one in answers
    )


def _functions(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    tools = request.get("tools") or ()
    return [tool["function"] for tool in tools if isinstance(tool, dict) and isinstance(tool.get("function"), dict)]


def _rounds(question: str, parallel: bool) -> list[list[Call]]:
    rounds: list[list[Call]] = []
    for found in _CALL.finditer(question):
        if found[1] or not rounds or not parallel:
            rounds.append([])
        rounds[-1].append(Call.new(found[2], found[3] or "{}"))
    return rounds
