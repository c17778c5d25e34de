"""Answers to open calls: which are taken, and what a person's answer decides."""

from typing import Any

import pytest

from turnstile.turns.answers import Decision, decision, encode_answers
from turnstile.turns.errors import InvalidTurn
from turnstile.turns.output import MOST_OPEN_CALLS, approval_request, call_name, is_approval, open_calls, said
from turnstile.turns.question import Options, encode_question
from turnstile.turns.text import dumps

EDIT = {"type": "edit", "edited_action": {"name": "pay", "args": {"amount": 1}}}


@pytest.mark.parametrize(
    ("answer", "decided"),
    [
        ("approve", {"type": "approve"}),
        (" True\n", {"type": "approve"}),
        ("false", {"type": "reject"}),
        ('{"type":"approve"}', {"type": "approve"}),
        ('{"decision":"reject","message":"too much"}', {"type": "reject", "message": "too much"}),
        ('{"approve":true}', {"type": "approve"}),
        ('{"approve":false,"reason":"no"}', {"type": "reject", "message": "no"}),
        ('{"type":"respond","message":"Köln"}', {"type": "respond", "message": "Köln"}),
        (dumps(EDIT), EDIT),
        (dumps({"decision": "edit", "edited_action": EDIT["edited_action"]}), EDIT),
    ],
)
def test_what_a_person_answers_becomes_langchains_decision(answer: str, decided: Decision) -> None:
    assert decision(answer) == decided


@pytest.mark.parametrize(
    "answer",
    [
        "", "[" * 100_000,
        "yes, please", "{", "[]", "1", "null", "{}", '{"approve":"perhaps"}', '{"approve":null}', '{"type":"respond"}',
        '{"type":"respond","message":3}', '{"type":"edit"}', '{"type":"edit","edited_action":{"name":"pay"}}',
        '{"type":"edit","edited_action":{"args":{}}}', '{"type":"reject","message":[1]}',
    ],
)  # fmt: skip
def test_an_answer_that_decides_nothing_is_none(answer: str) -> None:
    assert decision(answer) is None


def test_answers_are_text_or_json() -> None:
    assert encode_answers({"a": "as it is", "b": True, "c": {"ü": [1, None]}}) == {
        "a": "as it is",
        "b": "true",
        "c": '{"ü":[1,null]}',
    }


@pytest.mark.parametrize("answers", [["a"], "a", {"a": object()}, {"a": float("nan")}])
def test_what_is_no_json_is_refused(answers: Any) -> None:
    with pytest.raises(InvalidTurn) as refused:
        encode_answers(answers)
    assert refused.value.param == "answers"


@pytest.mark.parametrize(
    "answers", [[], {"": "x"}, {"x" * 201: "x"}, {"a": 1}, {1: "a"}, {str(n): "" for n in range(MOST_OPEN_CALLS + 1)}]
)
def test_answers_are_bounded_and_of_one_form(answers: Any) -> None:
    with pytest.raises(InvalidTurn) as refused:
        Options(answers=answers)
    assert refused.value.param == "answers"


def test_answers_are_kept_with_the_options() -> None:
    options = Options(answers={"call_1": "sunny"})
    assert Options.decode(options.encode()) == options


def test_a_question_beside_answers_may_be_empty() -> None:
    assert encode_question("", 10, optional=True) == '""'
    with pytest.raises(InvalidTurn):
        encode_question(" ", 10, optional=True)
    with pytest.raises(InvalidTurn):
        encode_question([], 10, optional=True)


def test_open_calls_are_those_that_somebody_outside_answers() -> None:
    call = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"}
    run = {"type": "mcp_call", "id": "m1", "name": "search", "arguments": "{}", "output": "found"}
    approval = approval_request("i1", 0, "pay", '{"amount":1}')
    found = open_calls((*said("Wait."), call, run, approval))
    assert found == (call, approval)
    assert [(call_name(item), is_approval(item)) for item in found] == [("c1", False), (approval["id"], True)]


def test_an_approvals_id_stands_for_one_call_with_its_arguments() -> None:
    made = {
        approval_request(interrupt, place, name, arguments)["id"]
        for interrupt in ("i1", "i2")
        for place in (0, 1)
        for name in ("pay", "refund")
        for arguments in ("{}", '{"amount":1}')
    }
    assert len(made) == 16
    assert approval_request("i1", 0, "pay", "{}") == approval_request("i1", 0, "pay", "{}")
