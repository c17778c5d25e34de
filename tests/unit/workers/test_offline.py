"""What the offline stand-in says, and what it is told to do wrong."""

import json
from typing import Any

import pytest

from turnstile.workers.offline import answers
from turnstile.workers.offline.behaviour import Behaviour, read_directive


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def said(*contents: Any, most_tokens: int | None = None) -> str:
    messages = [user(content) for content in contents]
    told = answers.answer(messages, answers.last_question(messages), most_tokens)
    return "".join(told.pieces)


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("Hi! I'm bob", "Bob"),
        ("Hello, I\u2019m Zo\u00eb.", "Zo\u00eb"),
        ("my name is user-17", "User-17"),
        ("I am tired. Call me Al, please", "Al"),
        ("I'm Ada and I like tea", "Ada"),
    ],
)
def test_greets_who_gives_a_name(question: str, name: str) -> None:
    assert said(question).startswith(f"Hello {name}!")


@pytest.mark.parametrize("question", ["I'm fine", "I am in Paris", "Imagine", "I'm looking for a book"])
def test_what_is_no_name_is_repeated(question: str) -> None:
    assert said(question) == f"You said: {question}"


@pytest.mark.parametrize("question", ["Whats my name", "what's my name?", "Do you know my name?", "Who am I?"])
def test_remembers_the_newest_name(question: str) -> None:
    assert said("I'm bob", "I'm carol", question) == "Your name is Carol."


def test_does_not_know_a_name_it_was_not_given() -> None:
    assert "don't know your name" in said("Hi there", "Whats my name")


def test_names_come_from_the_user_alone() -> None:
    messages = [{"role": "assistant", "content": "I'm Hal"}, user("Whats my name")]
    assert "don't know" in "".join(answers.answer(messages, "Whats my name").pieces)


def test_reads_the_text_of_content_parts() -> None:
    parts = [{"type": "text", "text": "look "}, {"type": "image_url", "image_url": {}}, {"type": "text", "text": "here"}]
    assert said(parts) == "You said: look here"


@pytest.mark.parametrize("text", ["a", "two words", "  spaced\n\nout  ", "longwithoutspaces" * 9, "\u4f60\u597d" * 40])
def test_pieces_add_up_to_the_text(text: str) -> None:
    assert said(text) == f"You said: {text}"


def test_stops_at_the_most_tokens() -> None:
    messages = [user("one two three")]
    told = answers.answer(messages, "one two three", 2)
    assert (told.finish_reason, "".join(told.pieces)) == ("length", "You said:")
    assert told.usage == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def test_events_hold_the_answer_and_its_usage() -> None:
    told = answers.answer([user("x " * 2_000)], "x " * 2_000)
    events = answers.events(told, include_usage=True)
    chunks = [json.loads(event.removeprefix(b"data: ")) for event in events[:-1]]
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"])
    assert text == "".join(told.pieces)
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[-2:-1]] == ["stop"]
    assert chunks[-1]["usage"] == told.usage
    assert len(events) < answers.MOST_EVENTS + 5
    assert events[-1] == b"data: [DONE]\n\n"


def test_a_directive_is_taken_out_of_the_question() -> None:
    question, behaviour = read_directive("Hi [[latency=2 fail=429 retry-after=1 times=2 hang]] you", Behaviour())
    assert question == "Hi you"
    assert behaviour == Behaviour(latency=2.0, fail="429", retry_after=1.0, times=2, hang=True)


@pytest.mark.parametrize(
    "text", ["see [[wiki]]", "[[ ]]", "[[fail=999]]", "[[latency=-1]]", "[[latency=nan]]", "[[hang=1]]", "[[drop latency]]"]
)
def test_other_brackets_stay_in_the_question(text: str) -> None:
    assert read_directive(text, Behaviour()) == (text, Behaviour())


def test_what_was_set_at_the_start_holds_unless_a_request_says_otherwise() -> None:
    base = Behaviour(latency=3.0, fail="500")
    assert read_directive("x [[latency=1]]", base)[1] == Behaviour(latency=1.0, fail="500")


def test_healing_keeps_the_pace() -> None:
    assert Behaviour(latency=1.0, fail="500", times=2, drop=True).healed() == Behaviour(latency=1.0)
