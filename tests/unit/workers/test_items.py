"""The output items of a model's message."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage

from turnstile.memory.calls import calls_of
from turnstile.turns.output import Output, called, reasoned, refused, said
from turnstile.workers.chains.items import drop_calls, items_of, name_calls

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
