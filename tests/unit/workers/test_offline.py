"""The answers of the offline stand-in, and its faults on request."""

import asyncio
import json
import math
import time
from typing import Any

import httpx
import pytest

from turnstile.workers.offline import answers, inputs
from turnstile.workers.offline.behaviour import Behaviour, read_directive
from turnstile.workers.offline.messages import last_question
from turnstile.workers.offline.prefixes import Prefixes
from turnstile.workers.offline.schemas import example
from turnstile.workers.offline.server import OfflineModel


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def said(*contents: Any, most_tokens: int | None = None) -> str:
    messages = [user(content) for content in contents]
    answer = answers.answer({"messages": messages, "max_tokens": most_tokens}, last_question(messages))
    return "".join(answer.pieces)


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


def test_remembers_a_name_from_a_question_with_a_directive() -> None:
    assert said("Hi! I'm bob [[latency=1]]", "Whats my name") == "Your name is Bob."


def test_does_not_know_a_name_it_was_not_given() -> None:
    assert "don't know your name" in said("Hi there", "Whats my name")


def test_names_come_from_the_user_alone() -> None:
    messages = [{"role": "assistant", "content": "I'm Hal"}, user("Whats my name")]
    assert "don't know" in "".join(answers.answer({"messages": messages}, "Whats my name").pieces)


def test_reads_the_text_of_content_parts() -> None:
    parts = [{"type": "text", "text": "look "}, {"type": "image_url", "image_url": {}}, {"type": "text", "text": "here"}]
    assert said(parts) == "You said: look here"


@pytest.mark.parametrize("text", ["a", "two words", "  spaced\n\nout  ", "longwithoutspaces" * 9, "\u4f60\u597d" * 40])
def test_pieces_add_up_to_the_text(text: str) -> None:
    assert said(text) == f"You said: {text}"


def test_stops_at_the_most_tokens() -> None:
    messages = [user("one two three")]
    answer = answers.answer({"messages": messages, "max_completion_tokens": 2}, "one two three")
    assert (answer.finish_reason, "".join(answer.pieces)) == ("length", "You said:")
    assert answer.usage == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def test_events_hold_the_answer_and_its_usage() -> None:
    answer = answers.answer({"messages": [user("x " * 2_000)]}, "x " * 2_000)
    events = answers.events(answer, include_usage=True)
    chunks = [json.loads(event.removeprefix(b"data: ")) for event in events[:-1]]
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"])
    assert text == "".join(answer.pieces)
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[-2:-1]] == ["stop"]
    assert chunks[-1]["usage"] == answer.usage
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


LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {"at": {}}}}}
PAY = {
    "type": "function",
    "function": {
        "name": "pay",
        "parameters": {
            "properties": {"amount": {"type": "integer", "minimum": 5}, "to": {"$ref": "#/$defs/name"}},
            "$defs": {"name": {"type": "string", "maxLength": 3}},
        },
    },
}


def calls(*messages: dict[str, Any], **more: Any) -> list[tuple[str, str]]:
    request = {"messages": messages, "tools": [LOOK, PAY], **more}
    answer = answers.answer(request, last_question(messages))
    assert (answer.finish_reason == "tool_calls") == bool(answer.calls)
    assert len({call.id for call in answer.calls}) == len(answer.calls)
    return [(call.name, call.arguments) for call in answer.calls]


def called(*ids: str) -> dict[str, Any]:
    made = [{"id": id, "type": "function", "function": {"name": f"n{id}", "arguments": "{}"}} for id in ids]
    return {"role": "assistant", "content": None, "tool_calls": made}


def returned(id: str, content: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": content}


TWO = user('Please:\ncall look {"at": [1, "x"]}\n call look\nthen call pay {"amount": ')


def test_calls_the_tools_that_it_is_told_to_call_round_by_round() -> None:
    assert calls(TWO) == [("look", '{"at": [1, "x"]}'), ("look", "{}")]
    assert calls(TWO, called("a", "b"), returned("a", "x"), returned("b", "y")) == [("pay", '{"amount":')]


def test_without_parallel_calls_each_is_a_round() -> None:
    assert calls(TWO, parallel_tool_calls=False) == [("look", '{"at": [1, "x"]}')]
    assert calls(TWO, called("a"), returned("a", "x"), parallel_tool_calls=False) == [("look", "{}")]


def test_answers_with_what_the_tools_returned() -> None:
    done = [TWO, called("a", "b"), returned("a", "sun"), returned("b", [{"type": "text", "text": "rain"}]), called("c")]
    answer = answers.answer({"messages": [*done, returned("c", "ok")], "tools": [LOOK]}, TWO["content"])
    assert "".join(answer.pieces) == "na returned sun\nnb returned rain\nnc returned ok"


def test_a_new_question_is_a_new_beginning() -> None:
    assert calls(TWO, called("a"), returned("a", "x"), user("call pay {}")) == [("pay", "{}")]
    assert calls(TWO, called("a"), returned("a", "x"), user("Thanks")) == []


def test_calls_nothing_without_tools_or_where_it_may_not() -> None:
    assert calls(TWO, tools=[]) == []
    assert calls(TWO, tool_choice="none") == []
    assert calls(user("Hello")) == []


def test_calls_what_it_has_to() -> None:
    assert calls(user("abcdef"), tool_choice="required") == [("pay", '{"amount": 5, "to": "abc"}')]
    assert calls(user("abcdef"), tool_choice={"type": "function", "function": {"name": "look"}}) == [
        ("look", '{"at": "abcdef"}')
    ]
    assert calls(TWO, tool_choice={"type": "function", "function": {"name": "pay"}})[0][0] == "pay"


def test_events_hold_reasoning_and_calls_in_pieces() -> None:
    answer = answers.answer({"messages": [TWO], "tools": [LOOK]}, TWO["content"], think=True)
    chunks = [json.loads(event.removeprefix(b"data: ")) for event in answers.events(answer, include_usage=True)[:-1]]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    assert "".join(delta.get("reasoning_content", "") for delta in deltas).startswith("The question is: Please:")
    pieces = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]
    assert [(piece["index"], piece["function"]["name"]) for piece in pieces if "id" in piece] == [(0, "look"), (1, "look")]
    assert "".join(p["function"]["arguments"] for p in pieces if p["index"] == 0) == '{"at": [1, "x"]}'
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[-2:-1]] == ["tool_calls"]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (
            {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": ["null", "string"]}}},
            {"a": "hi", "b": None},
        ),
        ({"type": "array", "items": {"enum": ["x", "y"]}, "minItems": 2}, ["x", "x"]),
        ({"anyOf": [{"type": "boolean"}, {"type": "null"}]}, True),
        ({"allOf": [{"$ref": "#/$defs/d"}], "$defs": {"d": {"const": 4}}}, 4),
        ({"type": "number", "exclusiveMinimum": 2}, 3),
        ({"type": "integer", "maximum": -2}, -2),
        ({"type": "string", "format": "date"}, "2026-01-01"),
        ({"type": "string", "minLength": 4}, "hi.."),
        ({"$ref": "#/nowhere"}, "hi"),
        ({"default": {"a": 1}}, {"a": 1}),
        ({}, "hi"),
    ],
)
def test_a_value_fits_its_schema(schema: dict[str, Any], value: Any) -> None:
    assert example(schema, "hi") == value


_PAIR = {"type": "object", "properties": {"a": {"$ref": "#/$defs/0"}, "b": {"$ref": "#/$defs/0"}}, "required": ["a", "b"]}
_LIST = {"type": "array", "minItems": 100_000}
_REPEATED = {"type": "array", "minItems": 100_000, "items": {"const": "x" * 100_000}}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "minItems": 10**12},
        {**_LIST, "items": {**_LIST, "items": _LIST}},
        _REPEATED,
        {"type": "string", "minLength": 10**12},
        {"$defs": {"0": _PAIR}, "$ref": "#/$defs/0"},
        {"type": "array", "minItems": 100_000, "items": {"$ref": "#" + "/x" * 50_000}},
    ],
    ids=["items", "nested items", "repeated text", "text", "branches", "long reference"],
)
def test_a_schema_of_a_value_that_is_too_large_is_refused_at_once(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="too large"):
        example(schema, "x")


def test_a_schema_without_an_end_has_a_value() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#"}, "rest": {"type": "array", "items": {"$ref": "#"}}}}
    assert "next" in example({**node, "required": ["next"]}, "x")
    assert example({"$ref": "#"}, "x") == "x"


def test_an_answer_has_the_form_that_is_wanted() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}, "sun": {"type": "boolean"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "weather", "schema": schema}}
    answer = answers.answer({"messages": [user("Köln")], "response_format": wanted}, "Köln")
    assert json.loads("".join(answer.pieces)) == {"city": "You said: Köln", "sun": True}
    answer = answers.answer({"messages": [user("hi")], "response_format": {"type": "json_object"}}, "hi")
    assert json.loads("".join(answer.pieces)) == {"answer": "You said: hi"}


def embedded(*texts: str) -> tuple[list[list[float]], int]:
    body = json.loads(asyncio.run(inputs.embeddings({"input": list(texts)})))
    return [one["embedding"] for one in body["data"]], body["usage"]["total_tokens"]


def test_embeddings_of_long_texts_take_little_work_and_stay_near_for_similar_ones() -> None:
    start = time.thread_time()
    (long, again, other), tokens = embedded("ab cd " * 400_000, "ab cd " * 400_000 + "end", "some dogs bark " * 200_000)
    assert time.thread_time() - start < 0.5
    assert math.isclose(sum(map(float.__mul__, long, again)), 1.0)
    assert sum(map(float.__mul__, long, other)) < 0.5
    assert tokens > 1_000_000


@pytest.mark.parametrize("asked", [{"input": ["x" * 8_000] * 200}, {"input": ["x"] * 2_048, "dimensions": 8_192}])
def test_embeddings_of_too_much_are_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="too many"):
        asyncio.run(inputs.embeddings(asked))


def test_others_have_their_time_between_two_embeddings() -> None:
    async def rests() -> int:
        making, count = asyncio.ensure_future(inputs.embeddings({"input": ["a text"] * 50})), 0
        while not making.done():
            await asyncio.sleep(0)
            count += 1
        return count

    assert asyncio.run(rests()) >= 50


def test_a_directive_is_looked_for_once_in_a_run_of_spaces() -> None:
    start = time.thread_time()
    assert read_directive(" " * 200_000 + "[[", Behaviour())[0] == "[["
    assert time.thread_time() - start < 1


def test_tells_how_much_of_a_prompt_it_has_seen_from_the_beginning_on() -> None:
    prefixes = Prefixes()
    prompt = [user(f"{number}") for number in range(30)]
    sizes = [100] * 30
    assert prefixes.take(prompt[:20], sizes[:20]) == 0
    assert prefixes.take(prompt, sizes) == 2_000 // 128 * 128
    assert prefixes.take(prompt[1:], sizes[1:]) == 0
    assert prefixes.take([*prompt[:10], user("other"), *prompt[11:]], sizes) == 0, "it tells of nothing below 1,024 tokens"


async def test_a_cache_is_told_in_the_usage() -> None:
    messages = [user("word " * 1_500), user("Hello [[cache]]")]
    async with OfflineModel() as server, httpx.AsyncClient() as client:
        for cached in (0, 1_500 // 128 * 128):
            reply = await client.post(f"{server.base_url}/chat/completions", json={"messages": messages})
            assert reply.json()["usage"]["prompt_tokens_details"] == {"cached_tokens": cached}
            messages.append(user("Go on [[cache]]"))
