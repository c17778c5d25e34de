"""An element of a history is read and written without LangChain, no matter who stored it."""

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, ToolMessage

from turnstile.memory import element as element_module
from turnstile.memory.codec import encode
from turnstile.memory.element import MARK, Element, MessageTooLarge, of_role, parse, read, write
from turnstile.turns.output import called


@pytest.mark.parametrize("character", ["x", "é", "\U0001f600"])
def test_a_message_has_a_bound_in_bytes(character: str, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(write(of_role("user", character * 100, {})).encode())
    monkeypatch.setattr(element_module, "MOST_STORED_BYTES", size)
    assert write(of_role("user", character * 100, {}))
    with pytest.raises(MessageTooLarge, match=f"a history keeps {size:,} at most") as caught:
        write(of_role("user", character * 101, {}))
    assert character * 2 not in str(caught.value)


@pytest.mark.parametrize("role", ["user", "assistant", "system"])
def test_a_message_of_a_role_comes_back_with_its_mark(role: str) -> None:
    element = of_role(role, "Köln \U0001f600", {"item": "msg_1", "at": 5})
    stored = read(write(element).encode())
    assert stored == element
    assert (stored.role, stored.content, stored.item, stored.turn) == (role, "Köln \U0001f600", "msg_1", None)
    assert not stored.by_developer


def test_a_developers_message_is_stored_as_langchain_stores_it() -> None:
    element = of_role("developer", "Be kind.", {})
    assert (element.type, element.role, element.by_developer) == ("system", "system", True)
    assert element.data["additional_kwargs"] == {"__openai_role__": "developer"}


def test_calls_answers_and_reasoning_are_read_of_what_langchain_stored() -> None:
    thinking = AIMessage(
        "",
        tool_calls=[{"id": "a", "name": "pay", "args": {"amount": 3, "to": "Zoë"}}],
        invalid_tool_calls=[{"type": "invalid_tool_call", "id": "b", "name": "pay", "args": '{"amount":', "error": None}],
        additional_kwargs={"reasoning_content": "He wants to pay."},
    )
    asked, answer = read(encode(thinking)), read(encode(ToolMessage("paid", tool_call_id="a")))
    assert asked is not None
    assert answer is not None
    assert asked.calls == [called("a", "pay", '{"amount":3,"to":"Zoë"}'), called("b", "pay", '{"amount":')]
    assert (asked.reasoning, asked.answers) == ("He wants to pay.", None)
    assert (answer.role, answer.content, answer.answers, answer.calls, answer.reasoning) == ("tool", "paid", "a", [], "")


@pytest.mark.parametrize(
    ("content", "reasoning"),
    [
        (
            [
                {"type": "reasoning", "reasoning": "one "},
                {"type": "thinking", "thinking": "two"},
                {"type": "text", "text": "x"},
            ],
            "one two",
        ),
        ([{"type": "reasoning", "summary": [{"type": "summary_text", "text": "in short"}]}], "in short"),
        ([{"type": "reasoning", "summary": 7}, "text", {"type": "thinking"}], ""),
        ("plain", ""),
    ],
)
def test_reasoning_may_stand_among_the_parts(content: Any, reasoning: str) -> None:
    assert Element("ai", {"content": content}, {}).reasoning == reasoning
    assert Element("human", {"content": content}, {}).reasoning == ""


@pytest.mark.parametrize("calls", [None, 7, "x", [7, None], {}])
def test_calls_that_are_none_are_passed_over(calls: Any) -> None:
    assert Element("ai", {"content": "", "tool_calls": calls, "invalid_tool_calls": calls}, {}).calls == []


@pytest.mark.parametrize(
    ("about", "refused"),
    [({"finish_reason": "refusal"}, True), ({"finish_reason": "stop"}, False), ({}, False), (None, False), ([], False)],
)
def test_a_refusal_is_told_from_an_answer(about: Any, refused: bool) -> None:
    assert Element("ai", {"content": "No.", "response_metadata": about}, {}).refused is refused


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "[]",
        "7",
        "{}",
        '{"type": "human"}',
        '{"type": "human", "data": []}',
        '{"type": "human", "data": {"content": 7}}',
        '{"type": ["human"], "data": {"content": "a"}}',
        '{"type": 7, "data": {"content": "a"}}',
        '{"type": "chat", "data": {"content": "a"}}',
        '{"type": "chat", "data": {"content": "a", "role": 7}}',
        "[" * 100_000,
    ],
)
def test_what_is_no_message_is_none(stored: str) -> None:
    assert read(stored) is None


@pytest.mark.parametrize("mark", [None, "x", [], 7, {}, {"turn": 7, "item": [], "tokens": -1, "place": True, "attempt": "1"}])
def test_a_broken_mark_tells_nothing(mark: Any) -> None:
    element = read(json.dumps({"type": "human", "data": {"content": "hi"}, MARK: mark}))
    assert element is not None
    assert (element.turn, element.item, element.tokens, element.place, element.attempt) == (None,) * 5


def test_half_of_a_surrogate_pair_is_read_as_whole_text() -> None:
    assert parse('{"type": "human", "data": {"content": "a\\ud83d"}}').content == "a\ufffd"
