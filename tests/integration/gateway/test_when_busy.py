"""Requests for a conversation that is busy, by OpenAI's own SDK."""

import json
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.support.gateways import Gateway
from tests.support.wait import wait_until
from turnstile.turns.api_keys import new_key

REJECT = {"turnstile_when_busy": "reject"}


def test_a_busy_conversation_refuses_as_openais_does(sdk: openai.OpenAI, session: str) -> None:
    first = sdk.responses.create(input="[[latency=60]] hello", conversation=session, background=True)
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.responses.create(input="Now!", conversation=session, metadata=REJECT)
    assert (caught.value.code, caught.value.param) == ("conversation_locked", "conversation")
    with pytest.raises(openai.BadRequestError, match="busy"):
        sdk.responses.create(input="Now!", previous_response_id=first.id, metadata=REJECT)
    with pytest.raises(openai.BadRequestError, match="busy"):
        sdk.chat.completions.create(
            model="any", messages=[{"role": "user", "content": "Now!"}], metadata={**REJECT, "session_id": session}
        )
    sdk.responses.cancel(first.id)
    assert sdk.responses.create(input="Now!", conversation=session, metadata=REJECT).output_text == "You said: Now!"


def test_an_interrupted_response_is_incomplete(sdk: openai.OpenAI, session: str) -> None:
    asked = f"[[tokens_per_second=4]] {'slowly ' * 200}"
    with sdk.responses.stream(input=asked, conversation=session, model="any") as stream:
        first = next(event for event in stream if event.type == "response.output_text.delta")
        then = sdk.responses.create(
            input="And now?", conversation=session, background=True, metadata={"turnstile_when_busy": "interrupt"}
        )
        ended = list(stream)[-1]
    assert ended.type == "response.incomplete"
    assert ended.response.output_text.startswith(first.delta)
    assert ended.response.incomplete_details
    assert ended.response.incomplete_details.reason == "steered"
    wait_until(lambda: sdk.responses.retrieve(then.id).status == "completed", "the conversation is idle")
    rolled_back = sdk.responses.create(input=asked, conversation=session, background=True)
    answer = sdk.responses.create(input="Now!", conversation=session, metadata={"turnstile_when_busy": "rollback"})
    assert answer.output_text == "You said: Now!"
    assert sdk.responses.retrieve(rolled_back.id).status == "cancelled"


def test_a_policy_that_there_is_not_is_named(sdk: openai.OpenAI, session: str) -> None:
    with pytest.raises(openai.BadRequestError, match="one of queue") as caught:
        sdk.responses.create(input="Now!", conversation=session, metadata={"turnstile_when_busy": "wait"})
    assert caught.value.param == "metadata.turnstile_when_busy"


def test_a_key_may_choose_for_its_requests(redis_url: str, tmp_path: Path) -> None:
    key = new_key("a key of acme's", "acme")
    entries = json.dumps({key.digest: {**key.entry, "when_busy": "reject"}})
    with Gateway(redis_url, tmp_path, TURNSTILE_API_KEYS=entries) as gateway, gateway.sdk(api_key=key.text) as sdk:
        sdk.responses.create(input="hello", conversation="tea", background=True)
        with pytest.raises(openai.BadRequestError, match="busy"):
            sdk.responses.create(input="Now!", conversation="tea", background=True)
        queued = sdk.responses.create(
            input="Then!", conversation="tea", background=True, metadata={"turnstile_when_busy": "queue"}
        )
        assert queued.status == "queued"


def test_merged_responses_are_one_answer(sdk: openai.OpenAI, session: str) -> None:
    first = sdk.responses.create(input="[[latency=60]] hello", conversation=session, background=True)
    merge = {"turnstile_when_busy": "merge"}
    asked = [
        sdk.responses.create(input=question, conversation=session, background=True, metadata=merge)
        for question in ("I'm bob", "Whats my name")
    ]
    sdk.responses.cancel(first.id)
    for response in asked:
        with sdk.responses.stream(response_id=response.id) as stream:
            final = stream.get_final_response()
        assert (final.id, final.status, final.output_text) == (response.id, "completed", "Your name is Bob.")
    items: list[Any] = list(sdk.conversations.items.list(session, order="asc"))
    assert [item.role for item in items] == ["user", "user", "assistant"]
    assert len({item.id for item in items}) == 3
    following = sdk.responses.create(input="Whats my name", previous_response_id=asked[1].id)
    assert following.conversation
    assert following.conversation.id == session
