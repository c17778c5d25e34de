"""Questions of turns, as items."""

from typing import Any

from turnstile.memory.element import REASONING, call_item
from turnstile.producers.gateway.items.ids import input_id, kin
from turnstile.producers.gateway.items.shown import (
    Item,
    shown_call,
    shown_decision,
    shown_message,
    shown_output,
    shown_reasoning,
)
from turnstile.turns.turn import Record

_APPROVAL = "mcpr_"


def input_items(record: Record) -> list[Item]:
    """Return the input items of a response, oldest first: answers to calls, then messages, the last of them the question."""
    options, question = record.options, record.question
    functions = {call: answer for call, answer in options.answers.items() if not call.startswith(_APPROVAL)}
    answered = [_answer(record.id, n, call, answer) for n, (call, answer) in enumerate(functions.items())]
    decided = [
        shown_decision(kin(input_id(record.id, 0), "mcpa", call), call, answer)
        for call, answer in options.answers.items()
        if call not in functions
    ]
    asked = [*options.before, *([{"role": "user", "content": question}] if question else [])]
    said = [_items(input_id(record.id, len(answered) + n), message) for n, message in enumerate(asked)]
    return [*answered, *decided, *(item for items in said for item in items)]


def _answer(turn: str, place: int, call: str, answer: str) -> Item:
    return shown_output(kin(input_id(turn, place), "fco", call), call, answer)


def _items(id: str, message: dict[str, Any]) -> list[Item]:
    if message["role"] == "tool":
        return [shown_output(kin(id, "fco", message["tool_call_id"]), message["tool_call_id"], message["content"])]
    thoughts = [shown_reasoning(kin(id, "rs"), message[REASONING])] if message.get(REASONING) else []
    made = [_call(call) for call in message.get("tool_calls") or ()]
    calls = [shown_call(kin(id, "fc", call["call_id"]), call) for call in made]
    said = [] if calls and not message["content"] else [shown_message(id, message["role"], message["content"] or "")]
    return [*thoughts, *said, *calls]


def _call(call: dict[str, Any]) -> Item:
    """Return a call in OpenAI's form, or in LangChain's, as an output item."""
    function = call.get("function")
    return {"call_id": call["id"], **function} if function else call_item(call)
