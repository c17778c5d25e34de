"""Prompts are shortened by whole exchanges, the oldest first."""

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from turnstile.memory import shortening
from turnstile.memory.shortening import without_oldest

A = [HumanMessage("a " * 50), AIMessage("a " * 50)]
B = [HumanMessage("b " * 50), AIMessage("b " * 50)]
C = [HumanMessage("c " * 50), AIMessage("c " * 50)]
RULE = SystemMessage("rule " * 500)
BROUGHT: list[BaseMessage] = [HumanMessage("brought " * 50)]


def test_half_is_left_out_where_nothing_else_is_known() -> None:
    assert without_oldest([*A, *B, *C], 0) == [*C]
    assert without_oldest([*A, *B], 0) == [*B]
    assert without_oldest(A, 0) == []
    assert without_oldest([], 0) is None


def test_no_more_is_left_out_than_must_be() -> None:
    assert without_oldest([*A, *B, *C], 0, 1) == [*B, *C]
    assert without_oldest([*A, *B, *C], 0, 80) == [*C]
    assert without_oldest([*A, *B, *C], 0, 10_000) == []


def test_system_messages_stay_and_do_not_count() -> None:
    assert without_oldest([RULE, *A, *B], 0) == [RULE, *B]
    assert without_oldest([*A, RULE, *B], 0, 10_000) == [RULE]
    assert without_oldest([RULE], 0) is None


def test_what_the_turn_brings_stays() -> None:
    assert without_oldest([*A, *BROUGHT], 1, 10_000) == BROUGHT
    assert without_oldest(BROUGHT, 1) is None


def test_a_greeting_is_the_first_to_go() -> None:
    assert without_oldest([AIMessage("Hello!"), *A, *B], 0, 1) == [*A, *B]


def test_an_exchange_that_is_answered_now_stays_whole() -> None:
    asking = [HumanMessage("pay"), AIMessage("", tool_calls=[{"id": "c", "name": "pay", "args": {}}])]
    answer = ToolMessage("paid", tool_call_id="c")
    assert without_oldest([*A, *asking, answer], 1, 10_000) == [*asking, answer]
    assert without_oldest([*asking, answer], 1) is None


class _Size(int):
    """A count of tokens, which counts how often it is added."""

    added = 0

    def __radd__(self, other: int) -> int:
        _Size.added += 1
        return int(other) + int(self)

    __add__ = __radd__


def test_the_sizes_of_many_messages_are_added_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """They were added up anew for each exchange: 4,000 took an eighth of a second."""
    monkeypatch.setattr(shortening, "count_tokens_approximately", lambda _: _Size(1))
    found = without_oldest([HumanMessage(str(n)) for n in range(400)], 0, 300)
    assert found
    assert [message.content for message in found] == [str(n) for n in range(300, 400)]
    assert _Size.added < 1_000
