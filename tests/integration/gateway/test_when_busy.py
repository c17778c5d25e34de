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


@pytest.mark.parametrize("store", [True, False])
def test_a_response_steers_none_that_is_stored_when_it_is_not_nor_the_other_way(
    sdk: openai.OpenAI, session: str, store: bool
) -> None:
    asked = f"[[tokens_per_second=4]] {'slowly ' * 200}"
    with sdk.responses.stream(input=asked, conversation=session, model="any", store=not store) as stream:
        next(event for event in stream if event.type == "response.output_text.delta")
        steer: Any = {"conversation": session, "background": True, "metadata": {"turnstile_when_busy": "steer"}}
        last = sdk.responses.create(input="And now?", store=store, **steer)
        alike = sdk.responses.create(input="And then?", store=not store, **steer)
        first = stream.get_final_response()
    assert first.output_text == "You said: And then?"
    wait_until(lambda: sdk.responses.retrieve(last.id).status == "completed", "the conversation is idle")
    texts = [sdk.responses.retrieve(id).output_text for id in (alike.id, last.id)]
    assert texts == ["You said: And then?", "You said: And now?"]
    items: list[Any] = list(sdk.conversations.items.list(session, order="asc"))
    told = [item.content[0].text for item in items]
    assert told == (["And now?", texts[1]] if store else [asked, "And then?", texts[0]])


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


LOOK: Any = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}, "strict": False}


def ask_together(sdk: openai.OpenAI, session: str, *questions: str) -> list[Any]:
    """Return the responses of questions that were merged, once they have ended."""
    first = sdk.responses.create(input="[[latency=60]] hello", conversation=session, background=True)
    merge: Any = {"conversation": session, "background": True, "metadata": {"turnstile_when_busy": "merge"}, "tools": [LOOK]}
    asked = [sdk.responses.create(input=question, **merge) for question in questions]
    sdk.responses.cancel(first.id)
    for response in asked:
        with sdk.responses.stream(response_id=response.id) as stream:
            stream.until_done()
    return [sdk.responses.retrieve(response.id) for response in asked]


@pytest.mark.parametrize("place", [0, 1])
def test_calls_of_a_merged_answer_are_answered_after_each_of_its_responses(
    sdk: openai.OpenAI, session: str, place: int
) -> None:
    response = ask_together(sdk, session, "call look {}", "call look {}")[place]
    [call] = response.output
    asked = list(sdk.responses.input_items.list(response.id))
    answer: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "42"}
    transcript: Any = [*(item.model_dump() for item in asked), call.model_dump(), answer]
    done = sdk.responses.create(input=transcript, previous_response_id=response.id, tools=[LOOK])
    assert done.conversation
    assert (done.conversation.id, "42" in done.output_text) == (session, True)
    kinds = [item.type for item in sdk.conversations.items.list(session, order="asc")]
    assert kinds == ["message", "message", "function_call", "function_call_output", "message"]


@pytest.mark.parametrize("place", [0, 1])
def test_a_deleted_response_closes_the_calls_of_a_merged_answer(sdk: openai.OpenAI, session: str, place: int) -> None:
    asked = ask_together(sdk, session, "call look {}", "call look {}")
    sdk.responses.delete(asked.pop(place).id)
    done = sdk.responses.create(input="hello", previous_response_id=asked[0].id, metadata=REJECT)
    assert done.conversation
    assert done.conversation.id == session
    kinds = [item.type for item in sdk.conversations.items.list(session, order="asc")]
    assert kinds == ["message", "message", "function_call", "function_call_output", "message", "message"]
