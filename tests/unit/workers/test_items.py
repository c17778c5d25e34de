"""The output items of a model's message."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk

from turnstile.memory.calls import calls_of
from turnstile.turns.output import Output, called, reasoned, refused, said
from turnstile.workers.chains.items import drop_calls, items_of, name_calls, whole_message

CALLS: dict[str, Any] = {
    "tool_calls": [{"id": "a", "name": "pay", "args": {"amount": 3}}],
    "invalid_tool_calls": [{"type": "invalid_tool_call", "id": "b", "name": "pay", "args": '{"amou', "error": None}],
}
THOUGHT = {"reasoning_content": "He wants to pay."}


@pytest.mark.parametrize(
    ("message", "output"),
    [
        (AIMessage("hello"), said("hello")),
        (AIMessage(""), said("")),
        (AIMessage("", **CALLS), (called("a", "pay", '{"amount":3}'), called("b", "pay", '{"amou'))),
        (
            AIMessage("One moment.", tool_calls=CALLS["tool_calls"], additional_kwargs=THOUGHT),
            (reasoned("He wants to pay."), *said("One moment."), called("a", "pay", '{"amount":3}')),
        ),
        (
            AIMessage([{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "yes"}]),
            (reasoned("hm"), *said("yes")),
        ),
    ],
)
def test_a_message_becomes_items_in_order(message: AIMessage, output: Output) -> None:
    assert items_of(message) == output


def test_a_refusal_is_one() -> None:
    assert items_of(AIMessage("no"), refusal=True) == refused("no")


def test_each_call_has_an_id_of_its_own() -> None:
    calls: list[Any] = [{"id": id, "name": "pay", "args": {}} for id in (None, "", "pay", "pay", "x" * 300)]
    message = AIMessage("", tool_calls=calls)
    name_calls(message)
    ids = [call["id"] for call in calls_of(message)]
    assert ids[2] == "pay"
    assert len(set(ids)) == len(ids)
    assert all(0 < len(id) <= 200 for id in ids)


def test_calls_that_were_cut_off_are_dropped() -> None:
    message = AIMessage("so", **CALLS)
    drop_calls(message)
    assert items_of(message) == said("so")


class _Arguments(str):
    """Arguments of a call, which count how often they are compared."""

    compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        _Arguments.compared += 1
        return str.__eq__(self, other)


def test_calls_that_broke_off_are_not_compared_with_all_others() -> None:
    """A thousand calls with long arguments took a second."""
    texts = [_Arguments(f'{{"a":{n}' + ("}" if n % 2 else "")) for n in range(200)]
    chunk = AIMessageChunk(content="")
    chunk.tool_call_chunks = [
        {"type": "tool_call_chunk", "name": "pay", "args": text, "id": "a", "index": 0} for text in texts
    ]  # fmt: skip
    message = whole_message(chunk)
    assert [call["args"]["a"] for call in message.tool_calls] == list(range(1, 200, 2))
    assert [call["args"] for call in message.invalid_tool_calls] == [f'{{"a":{n}' for n in range(0, 200, 2)]
    assert _Arguments.compared < 1_000
