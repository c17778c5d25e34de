"""Chat completions through the gateway: what most chat programs speak."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
import openai
import pytest

from tests.integration.conftest import Stack
from tests.support.gateways import read_events
from tests.support.wait import wait_until
from turnstile.turns.counters import without_notes

MODEL = "gpt-4o-mini"


def test_stateless(sdk: openai.OpenAI, stack: Stack) -> None:
    answer = sdk.chat.completions.create(
        model=MODEL,
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "I'm kate"},
            {"role": "assistant", "content": "Hello!"},
            {"role": "user", "content": "What's my name?"},
        ],
    )
    assert answer.object == "chat.completion"
    [choice] = answer.choices
    assert (choice.message.content, choice.finish_reason) == ("Your name is Kate.", "stop")
    assert answer.usage
    assert answer.usage.total_tokens > 0
    turn = f"resp_{answer.id.removeprefix('chatcmpl-')}"
    assert stack.store.status(turn).options.instructions == "Be brief."
    assert stack.store.history(stack.store.status(turn).session) == []


@pytest.mark.parametrize(
    "empty",
    [
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": None},
        {"role": "assistant", "content": []},
        {"role": "assistant", "content": None, "refusal": "I'm sorry, I cannot help with that."},
        {"role": "assistant", "content": "", "refusal": None, "annotations": []},
        {"role": "system", "content": ""},
        {"role": "user", "content": ""},
    ],
)
def test_only_the_question_must_say_something(sdk: openai.OpenAI, empty: Any) -> None:
    messages: Any = [{"role": "user", "content": "I'm kate"}, empty, {"role": "user", "content": "What's my name?"}]
    answer = sdk.chat.completions.create(model=MODEL, messages=messages)
    assert answer.choices[0].message.content == "Your name is Kate."


def test_a_refusal_given_back_is_what_the_assistant_said(stack: Stack, sdk: openai.OpenAI) -> None:
    refused: Any = {"role": "assistant", "content": None, "refusal": "I'm sorry."}
    hi: Any = {"role": "user", "content": "hi"}
    answer = sdk.chat.completions.create(model=MODEL, messages=[hi, refused, hi])
    options = stack.store.status(f"resp_{answer.id.removeprefix('chatcmpl-')}").options
    assert options.history == [hi, {"role": "assistant", "content": "I'm sorry."}]


def test_streamed(sdk: openai.OpenAI) -> None:
    chunks = list(
        sdk.chat.completions.create(
            model=MODEL,
            stream=True,
            stream_options={"include_usage": True},
            messages=[{"role": "user", "content": "one two three four five six seven eight [[tokens-per-second=20]]"}],
        )
    )
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(texts) == "You said: one two three four five six seven eight"
    assert len([text for text in texts if text]) > 2
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_stream_ends_with_done(http: httpx.Client) -> None:
    body = {"messages": [{"role": "user", "content": "hello"}], "stream": True}
    answer = http.post("/v1/chat/completions", json=body)
    assert answer.text.endswith("data: [DONE]\n\n")
    assert all("usage" not in chunk for chunk in read_events(iter(answer.text.splitlines())))


def test_names_reach_the_model(stack: Stack, sdk: openai.OpenAI, session: str) -> None:
    messages: Any = [
        {"role": "user", "content": "hi", "name": "ann"},
        {"role": "assistant", "content": "hello", "name": "tea_bot"},
        {"role": "user", "content": "and me?", "name": "bob"},
    ]
    alone = sdk.chat.completions.create(model=MODEL, messages=messages)
    options = stack.store.status(f"resp_{alone.id.removeprefix('chatcmpl-')}").options
    assert (options.history, options.name) == (messages[:2], "bob")
    sdk.chat.completions.create(model=MODEL, messages=messages, metadata={"session_id": session})
    assert b'"name":"bob"' in stack.store.history(session)[-1]


@pytest.mark.parametrize("by_header", [True, False])
def test_with_a_session_the_last_message_is_a_turn_of_it(sdk: openai.OpenAI, session: str, by_header: bool) -> None:
    named: dict[str, Any] = (
        {"extra_headers": {"X-Turnstile-Session": session}} if by_header else {"metadata": {"session_id": session}}
    )
    sdk.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "I'm liam"}], **named)
    answer = sdk.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "What's my name?"}], **named)
    assert answer.choices[0].message.content == "Your name is Liam."
    roles = [item.role for item in sdk.conversations.items.list(session, order="asc") if item.type == "message"]
    assert roles == ["user", "assistant", "user", "assistant"]
    assert sdk.responses.create(input="And what's my name?", conversation=session).output_text == "Your name is Liam."


@pytest.mark.parametrize(
    "named", [{"metadata": {"session_id": ""}}, {"extra_headers": {"X-Turnstile-Session": ""}}], ids=["metadata", "header"]
)
def test_an_empty_name_of_a_session_is_refused(stack: Stack, sdk: openai.OpenAI, named: dict[str, Any]) -> None:
    before = _counts(stack)
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}], **named)
    assert refused.value.param in ("metadata.session_id", "X-Turnstile-Session")
    assert _counts(stack) == before


def _counts(stack: Stack) -> dict[str, int]:
    return without_notes(stack.store.stats())


def test_other_programs_headers_name_no_session(stack: Stack, sdk: openai.OpenAI, session: str) -> None:
    messages: Any = [{"role": "user", "content": "I'm liam"}, {"role": "user", "content": "What's my name?"}]
    answer = sdk.chat.completions.create(model=MODEL, messages=messages, extra_headers={"X-Session-Id": session})
    assert answer.choices[0].message.content == "Your name is Liam."
    assert stack.store.history(session) == []


def test_the_old_and_the_new_name_of_a_limit(sdk: openai.OpenAI) -> None:
    for limit in ({"max_tokens": 2}, {"max_completion_tokens": 2}):
        answer: Any = sdk.chat.completions.create(  # type: ignore[call-overload]  # the SDK has an overload for each name
            model=MODEL, messages=[{"role": "user", "content": "a long question, with many words"}], **limit
        )
        assert answer.choices[0].finish_reason == "length"


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("400", 400, "invalid_request"),
        ("401", 502, "authentication"),
        ("context_length_exceeded", 400, "context_length_exceeded"),
    ],
)
def test_what_fails_is_an_error(sdk: openai.OpenAI, fault: str, status: int, code: str) -> None:
    messages: Any = [{"role": "user", "content": f"break [[fail={fault}]]"}]
    with pytest.raises(openai.APIStatusError) as failed:
        sdk.chat.completions.create(model=MODEL, messages=messages)
    assert (failed.value.status_code, failed.value.code) == (status, code)
    assert failed.value.response.headers["x-should-retry"] == "false"
    with pytest.raises(openai.APIError) as broken:
        list(sdk.chat.completions.create(model=MODEL, messages=messages, stream=True))
    assert broken.value.code == code


@pytest.mark.parametrize("by_header", [True, False])
def test_repeats_are_the_same_completion(sdk: openai.OpenAI, session: str, by_header: bool) -> None:
    named: Any = {"extra_headers": {"Idempotency-Key": session}} if by_header else {"metadata": {"client_message_id": session}}

    def ask(text: str) -> str:
        return str(sdk.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": text}], **named).id)

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(ask, ["hello there"] * 4))) == 1
    with pytest.raises(openai.UnprocessableEntityError):
        ask("something else")


def test_a_client_that_leaves_cancels(stack: Stack, http: httpx.Client) -> None:
    body = {"messages": [{"role": "user", "content": "wait [[hang]]"}]}
    with suppress(httpx.ReadTimeout):
        http.post("/v1/chat/completions", json=body, timeout=1)
    wait_until(lambda: stack.store.stats().get("open", 0) == 0, "the turn is cancelled")


def test_a_question_may_be_as_large_as_any_other_message(sdk: openai.OpenAI, session: str) -> None:
    large: Any = [{"role": "system", "content": "word " * 80_000}, {"role": "user", "content": "hi " + "x" * 400_000}]
    answer = sdk.chat.completions.create(model=MODEL, messages=large)
    assert answer.choices[0].message.content
    with pytest.raises(openai.BadRequestError, match="TURNSTILE_MAX_QUESTION_BYTES"):
        sdk.chat.completions.create(model=MODEL, messages=large[1:], metadata={"session_id": session})
