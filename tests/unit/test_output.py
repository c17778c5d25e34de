"""The output of a turn: what is stored of it, and what is read of records that older versions stored."""

import pytest

from turnstile.turns.output import Output, called, decode, encode, is_refusal, open_calls, reasoned, refused, said, text_of

MIXED: Output = (
    {"type": "message", "content": [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]},
    {"type": "reasoning", "summary": []},
    *refused(" no"),
)


@pytest.mark.parametrize("text", ["", "hello", "Köln \U0001f600"])
def test_an_answer_of_text_is_stored_as_its_text_alone(text: str) -> None:
    assert encode(said(text)) == ""
    assert decode({"answer": text}, answered=True) == said(text)


@pytest.mark.parametrize("output", [refused("no"), MIXED])
def test_any_other_output_comes_back_as_it_was(output: Output) -> None:
    assert decode({"answer": text_of(output), "output": encode(output)}, answered=True) == output
    assert is_refusal(output)


def test_open_calls_are_those_that_somebody_outside_answers() -> None:
    approval = {"type": "mcp_approval_request", "id": "b", "name": "pay", "arguments": "{}"}
    run = {"type": "mcp_call", "id": "c", "name": "look", "arguments": "{}", "output": "seen"}
    output = (reasoned("hm"), *said("one moment"), run, called("a", "look", "{}"), approval)
    assert open_calls(output) == (called("a", "look", "{}"), approval)
    assert (text_of(output), open_calls(MIXED)) == ("one moment", ())


def test_the_text_is_that_of_all_messages() -> None:
    assert text_of(MIXED) == "one two no"
    assert (text_of(()), is_refusal(()), is_refusal(said("a"))) == ("", False, False)


@pytest.mark.parametrize(
    ("record", "answered", "output"),
    [
        ({"answer": "no", "code": "refusal"}, True, refused("no")),
        ({"answer": "hello"}, True, said("hello")),
        ({}, True, said("")),
        ({}, False, ()),
        ({"answer": "half", "code": "content_filter"}, False, said("half")),
    ],
)
def test_a_record_of_an_older_version_is_read(record: dict[str, str], answered: bool, output: Output) -> None:
    assert decode(record, answered) == output
