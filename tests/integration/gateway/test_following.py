"""Responses that follow others, and requests that are repeated."""

from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from typing import Any

import httpx
import openai
import pytest
from openai.types.responses import Response

from tests.integration.conftest import Stack
from tests.support.gateways import ended, running, texts_of

LONG = "Please say one two three four five six seven eight nine ten eleven twelve"
HANGS = "wait for me [[hang]]"


def test_a_repeated_request_is_the_same_response(sdk: openai.OpenAI, session: str) -> None:
    def ask(text: str, key: str) -> Response:
        return sdk.responses.create(input=text, background=True, extra_headers={"Idempotency-Key": key})

    first = ask("hello there", session)
    assert ask("hello there", session).id == first.id
    assert ask("hello there", f"{session}-other").id != first.id
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        ask("something else", session)
    assert refused.value.param == "idempotency_key"
    assert refused.value.response.headers["x-should-retry"] == "false"


def test_a_deleted_response_is_not_asked_again(sdk: openai.OpenAI, session: str) -> None:
    asked: Any = {"input": "hello there", "conversation": session, "extra_headers": {"Idempotency-Key": session}}
    sdk.responses.delete(sdk.responses.create(**asked).id)
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        sdk.responses.create(**asked)
    assert refused.value.code == "idempotency_conflict"
    assert len(list(sdk.conversations.items.list(session))) == 2


def test_the_clients_own_message_id_is_a_key_too(sdk: openai.OpenAI, session: str) -> None:
    mark = {"client_message_id": session}
    first, again = (sdk.responses.create(input="hello there", metadata=mark, background=True) for _ in range(2))
    assert again.id == first.id
    assert len(list(sdk.conversations.items.list(ended_conversation(sdk, first.id)))) == 2


def test_a_lost_connection_can_be_tried_again_with_the_same_key(stack: Stack, http: httpx.Client, session: str) -> None:
    body = {"input": f"{LONG} [[latency=2]]", "conversation": session}
    headers = {"Idempotency-Key": session}
    with suppress(httpx.ReadTimeout):
        http.post("/v1/responses", json=body, headers=headers, timeout=0.5)
    answer = http.post("/v1/responses", json=body, headers=headers).json()
    assert answer["status"] == "completed"
    assert stack.store.status(answer["id"]).dispatches == 1


def test_follow_a_response(sdk: openai.OpenAI) -> None:
    first = sdk.responses.create(input="Hi! I'm bob")
    second = sdk.responses.create(input="What's my name?", previous_response_id=first.id)
    assert second.output_text == "Your name is Bob."
    assert second.previous_response_id == first.id
    assert second.conversation == first.conversation


def test_follow_a_response_that_is_not_the_last(sdk: openai.OpenAI) -> None:
    first = sdk.responses.create(input="Hi! I'm bob")
    sdk.responses.create(input="I'm carl, by the way", previous_response_id=first.id)
    branch = sdk.responses.create(input="What's my name?", previous_response_id=first.id)
    assert branch.output_text == "Your name is Bob."
    assert branch.conversation
    assert first.conversation
    assert branch.conversation.id != first.conversation.id
    texts = texts_of(sdk.conversations.items.list(branch.conversation.id, order="asc"))
    assert texts == ["Hi! I'm bob", "Hello Bob! How can I help you today?", "What's my name?", "Your name is Bob."]


def test_follow_a_response_that_still_runs(stack: Stack, sdk: openai.OpenAI) -> None:
    first = sdk.responses.create(input="Hi! I'm bob. [[latency=0.7]]", background=True)
    second = sdk.responses.create(input="What's my name?", previous_response_id=first.id)
    assert second.output_text == "Your name is Bob."
    assert second.conversation == sdk.responses.retrieve(first.id).conversation


@pytest.mark.parametrize("keyed", [True, False])
def test_a_second_follower_of_a_response_that_still_runs_branches(sdk: openai.OpenAI, session: str, keyed: bool) -> None:
    first = sdk.responses.create(input="Hi! I'm bob. [[latency=0.7]]", background=True)
    last = sdk.responses.create(input="I'm carl, by the way", previous_response_id=first.id, background=True)
    header = {"Idempotency-Key": session} if keyed else {}
    asked: Any = {"input": "What's my name?", "previous_response_id": first.id, "background": True, "extra_headers": header}
    branch = ended(sdk, sdk.responses.create(**asked).id)
    assert branch.output_text == "Your name is Bob."
    assert branch.conversation != ended(sdk, last.id).conversation == first.conversation
    if keyed:
        assert sdk.responses.create(**asked).id == branch.id


def test_a_follower_that_waits_for_what_is_then_deleted(stack: Stack, sdk: openai.OpenAI, session: str) -> None:
    first = sdk.responses.create(input=HANGS, background=True, conversation=session)
    running(stack.store, first.id)
    sdk.responses.create(input="I'm carl", previous_response_id=first.id, background=True)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(sdk.responses.create, input="And?", previous_response_id=first.id)
        with suppress(FutureTimeout):
            waiting.result(timeout=0.5)
        assert not waiting.done()
        sdk.conversations.delete(session)
        with pytest.raises(openai.NotFoundError) as missing:
            waiting.result()
    assert missing.value.param == "previous_response_id"


def test_a_repeat_is_answered_when_what_it_followed_is_deleted(sdk: openai.OpenAI, session: str) -> None:
    first = sdk.responses.create(input="Hi! I'm bob")
    asked: Any = {"previous_response_id": first.id, "extra_headers": {"Idempotency-Key": session}}
    second = sdk.responses.create(input="What's my name?", **asked)
    sdk.responses.delete(first.id)
    assert sdk.responses.create(input="What's my name?", **asked).to_dict() == second.to_dict()
    with pytest.raises(openai.UnprocessableEntityError):
        sdk.responses.create(input="Something else", **asked)


def test_a_response_that_follows_can_be_repeated(sdk: openai.OpenAI, session: str) -> None:
    first = sdk.responses.create(input="Hi! I'm bob")
    again = [
        sdk.responses.create(input="What's my name?", previous_response_id=first.id, extra_headers={"Idempotency-Key": session})
        for _ in range(2)
    ]
    assert again[0].to_dict() == again[1].to_dict()
    assert again[0].conversation == first.conversation


def ended_conversation(sdk: openai.OpenAI, id: str) -> str:
    """Return the conversation of a response that has ended."""
    conversation = ended(sdk, id).conversation
    assert conversation
    return conversation.id
