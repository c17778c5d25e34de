"""The forms in which clients give the outputs of calls back: alone, with what was said before, or by references."""

import json
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.integration.conftest import Stack
from tests.integration.gateway.test_tools import ASK, BOTH, TOOLS, calls_of, outputs_of
from tests.support.gateways import Gateway, running, texts_of
from turnstile.turns.states import State

USER: Any = {"role": "user", "content": ASK}
PAID = "pay returned pay done"


def refusal_of(error: pytest.ExceptionInfo[openai.APIStatusError]) -> tuple[int, str, str | None, str | None]:
    """Return status, message, param and code of an error."""
    body: Any = error.value.body
    return error.value.status_code, body["message"], body["param"], body["code"]


def without_ids(items: Any) -> Any:
    """Return items as the AI SDK sends calls: without ids of their own."""
    return [{name: value for name, value in item.to_dict().items() if name != "id"} for item in items]


def test_the_last_question_comes_again_with_the_outputs(sdk: openai.OpenAI, session: str) -> None:
    system: Any = {"role": "developer", "content": "Be kind."}
    first = sdk.responses.create(input=[system, USER], tools=TOOLS, conversation=session)
    given = [system, USER, *without_ids(first.output), *outputs_of(first)]
    assert sdk.responses.create(input=given, tools=TOOLS, conversation=session).output_text == PAID
    roles = [getattr(item, "role", item.type) for item in sdk.conversations.items.list(session, order="asc")]
    assert roles == ["developer", "user", "function_call", "function_call_output", "assistant"]


def test_all_comes_again_after_the_same_response(sdk: openai.OpenAI) -> None:
    start = sdk.responses.create(input="Hi! I'm bob")
    first = sdk.responses.create(input=ASK, tools=TOOLS, previous_response_id=start.id)
    given = [USER, *without_ids(first.output), *outputs_of(first)]
    second = sdk.responses.create(input=given, tools=TOOLS, previous_response_id=start.id)
    assert (second.output_text, second.conversation) == (PAID, first.conversation)
    again = sdk.responses.create(input=[*given, USER], tools=TOOLS, previous_response_id=start.id)
    assert again.conversation != first.conversation
    assert calls_of(again)[0].name == "pay"


def test_references_stand_for_what_they_name(sdk: openai.OpenAI) -> None:
    first = sdk.responses.create(input="Hi! I'm bob [[think]]")
    thought, said = first.output
    references: Any = [{"type": "item_reference", "id": thought.id}, {"id": said.id}]
    second = sdk.responses.create(input=[{"role": "user", "content": "Hi! I'm bob"}, *references, USER], tools=TOOLS)
    [given, reasoning, spoken, asked] = sdk.responses.input_items.list(second.id, order="asc").data
    assert (given.type, reasoning.type, spoken.type, asked.type) == ("message", "reasoning", "message", "message")
    assert reasoning.summary == thought.summary  # type: ignore[union-attr]
    whole: Any = [
        *references, {"type": "item_reference", "id": calls_of(second)[0].id}, *outputs_of(second),
        {"role": "user", "content": "Whats my name"},
    ]  # fmt: skip
    third = sdk.responses.create(input=[{"role": "user", "content": "Hi! I'm bob"}, *whole])
    assert third.output_text == "Your name is Bob."


def test_references_to_what_is_not_there(sdk: openai.OpenAI) -> None:
    unstored = sdk.responses.create(input="hello", store=False)
    for id, more in (("msg_none", ""), (unstored.output[0].id, " Items are not persisted when `store` is set to false.")):
        with pytest.raises(openai.NotFoundError, match=f"Item with id '{id}' not found.{more}") as refused:
            sdk.responses.create(input=[{"type": "item_reference", "id": str(id)}, USER])
        assert refusal_of(refused)[2:] == ("input", None)


def test_what_a_conversation_has_is_not_stored_twice(sdk: openai.OpenAI, session: str) -> None:
    first = sdk.responses.create(input="Hi! I'm bob", conversation=session)
    items: Any = [item.to_dict() for item in sdk.conversations.items.list(session, order="asc")]
    reference: Any = {"type": "item_reference", "id": first.output[0].id}
    question: Any = {"role": "user", "content": "Whats my name"}
    assert sdk.responses.create(input=[*items, reference, question], conversation=session).output_text == "Your name is Bob."
    assert len(texts_of(sdk.conversations.items.list(session))) == 4
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.responses.create(input=items, conversation=session)
    assert refused.value.code == "no_question"


@pytest.mark.parametrize("place", ["previous", "conversation"])
def test_wrong_outputs_are_refused_in_openai_s_words(sdk: openai.OpenAI, session: str, place: str) -> None:
    first = sdk.responses.create(input=BOTH, tools=TOOLS, conversation=session)
    where: Any = {"previous_response_id": first.id} if place == "previous" else {"conversation": session}
    one, other = outputs_of(first)
    strange: Any = {**one, "call_id": "call_none"}
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.responses.create(input=[one], **where)
    message = f"No tool output found for function call {other['call_id']}."
    assert refusal_of(refused) == (400, message, "input", None)
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.responses.create(input=[one, other, strange], **where)
    message = "No tool call found for function call output with call_id call_none."
    assert refusal_of(refused) == (400, message, "input", None)
    assert sdk.responses.create(input=[other, one], **where).output_text.startswith("pay returned")


def test_the_same_answers_twice_are_one_response(sdk: openai.OpenAI, session: str) -> None:
    first = sdk.responses.create(input=ASK, tools=TOOLS, conversation=session)
    outputs, wrong = outputs_of(first), {"type": "function_call_output", "call_id": calls_of(first)[0].call_id, "output": "x"}
    second, again = (sdk.responses.create(input=outputs, tools=TOOLS, conversation=session) for _ in range(2))
    assert again.id == second.id
    with pytest.raises(openai.BadRequestError, match="No tool call found"):
        sdk.responses.create(input=[wrong], tools=TOOLS, conversation=session)  # type: ignore[list-item]


def test_a_key_finds_its_response_whatever_has_come_since(sdk: openai.OpenAI, session: str) -> None:
    first = sdk.responses.create(input=ASK, tools=TOOLS, conversation=session)
    asked: Any = {
        "input": [USER, *without_ids(first.output), *outputs_of(first)], "tools": TOOLS, "conversation": session,
        "extra_headers": {"Idempotency-Key": session},
    }  # fmt: skip
    second = sdk.responses.create(**asked)
    sdk.responses.create(input="Hi! I'm bob", conversation=session)
    assert sdk.responses.create(**asked).id == second.id
    with pytest.raises(openai.UnprocessableEntityError):
        sdk.responses.create(**{**asked, "tools": []})


def test_an_answer_that_comes_too_late_forks(stack: Stack, sdk: openai.OpenAI, session: str) -> None:
    first = sdk.responses.create(input=ASK, tools=TOOLS, conversation=session)
    assert stack.store.release_session(session)
    second = sdk.responses.create(input=outputs_of(first), tools=TOOLS, previous_response_id=first.id)
    assert second.output_text == PAID
    assert second.conversation != first.conversation
    kinds = [item.type for item in sdk.conversations.items.list(session, order="asc")]
    assert kinds == ["message", "function_call", "function_call_output"]


def test_a_question_waits_behind_open_calls(stack: Stack, sdk: openai.OpenAI, session: str) -> None:
    first = sdk.responses.create(input=ASK, tools=TOOLS, conversation=session)
    waiting = sdk.responses.create(input="Hi! I'm bob", conversation=session, background=True)
    assert (waiting.status, waiting.metadata) == ("queued", {"turnstile_position": "1"})
    second = sdk.responses.create(input=outputs_of(first), tools=TOOLS, conversation=session)
    assert second.output_text == PAID
    with sdk.responses.stream(response_id=waiting.id) as stream:
        assert stream.get_final_response().output_text == "Hello Bob! How can I help you today?"
    assert stack.store.status(second.id).place == 0


def test_a_question_with_the_outputs_comes_after_them(sdk: openai.OpenAI, session: str) -> None:
    first = sdk.responses.create(input=ASK, tools=TOOLS, conversation=session)
    given: Any = [*outputs_of(first), {"role": "user", "content": "Hi! I'm bob"}]
    second = sdk.responses.create(input=given, tools=TOOLS, conversation=session)
    assert second.output_text == "Hello Bob! How can I help you today?"
    answer, question = sdk.responses.input_items.list(second.id, order="asc").data
    stored = [item.id for item in sdk.conversations.items.list(session, order="asc")]
    assert [answer.id, question.id, second.output[0].id] == stored[2:]


def test_deleting_a_response_closes_its_calls(stack: Stack, sdk: openai.OpenAI, session: str) -> None:
    first = sdk.responses.create(input=ASK, tools=TOOLS, conversation=session)
    waiting = sdk.responses.create(input="Hi! I'm bob", conversation=session, background=True)
    sdk.responses.delete(first.id)
    with sdk.responses.stream(response_id=waiting.id) as stream:
        assert stream.get_final_response().output_text == "Hello Bob! How can I help you today?"
    items: Any = list(sdk.conversations.items.list(session, order="asc"))
    assert items[2].output == "No output was given."
    assert stack.store.status(waiting.id).state is State.COMPLETED


def test_arguments_that_are_no_json_pass_both_ways(sdk: openai.OpenAI, session: str) -> None:
    first = sdk.responses.create(input='call pay {"amount": ', tools=TOOLS, conversation=session)
    [call] = calls_of(first)
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(call.arguments)
    replayed: Any = [USER, *(item.to_dict() for item in first.output), *outputs_of(first)]
    second = sdk.responses.create(input=replayed, tools=TOOLS)
    assert second.output_text == PAID
    [_, shown, _] = sdk.responses.input_items.list(second.id, order="asc").data
    assert shown.arguments == call.arguments  # type: ignore[union-attr]


def test_items_of_calls_can_be_added_to_a_conversation(sdk: openai.OpenAI, http: httpx.Client, session: str) -> None:
    call = {"type": "function_call", "call_id": "c1", "name": "pay", "arguments": '{"amount":3}'}
    output = {"type": "function_call_output", "call_id": "c1", "output": "paid 3"}
    conversation = sdk.conversations.create(items=[USER, call])  # type: ignore[list-item]
    added = sdk.conversations.items.create(conversation.id, items=[output])  # type: ignore[list-item]
    items = list(sdk.conversations.items.list(conversation.id, order="asc"))
    assert [item.type for item in items] == ["message", "function_call", "function_call_output"]
    assert added.data == items[2:]
    for item in items:
        assert sdk.conversations.items.retrieve(str(item.id), conversation_id=conversation.id) == item
    said = sdk.responses.create(input=[{"role": "developer", "content": "Go on."}], conversation=conversation.id, tools=TOOLS)
    assert said.output_text == "pay returned paid 3"
    refused = http.post(f"/v1/conversations/{session}/items", json={"items": [{"type": "computer_call"}]})
    assert refused.json()["error"]["param"] == "items[0].type"


def test_a_held_conversation_may_refuse_questions(stack: Stack, tmp_path: Path, session: str) -> None:
    with Gateway(stack.redis_url, tmp_path, TURNSTILE_WHEN_HELD="reject") as gateway, gateway.sdk() as sdk:
        first = sdk.responses.create(input=ASK, tools=TOOLS, conversation=session)
        message = f"No tool output found for function call {calls_of(first)[0].call_id}."
        places: list[Any] = [{"conversation": session}, {"previous_response_id": first.id}]
        for where in places:
            with pytest.raises(openai.BadRequestError) as refused:
                sdk.responses.create(input="Hi! I'm bob", **where)
            assert refusal_of(refused) == (400, message, "input", None)
        assert sdk.responses.create(input=outputs_of(first), conversation=session).output_text == PAID


def test_an_answer_that_is_cancelled_closes_its_calls(stack: Stack, sdk: openai.OpenAI, session: str) -> None:
    first = sdk.responses.create(input=ASK, tools=TOOLS, conversation=session)
    hangs: Any = {"role": "user", "content": "wait [[hang]]"}
    second = sdk.responses.create(input=[*outputs_of(first), hangs], conversation=session, background=True)
    running(stack.store, second.id)
    assert sdk.responses.cancel(second.id).status == "cancelled"
    assert sdk.responses.create(input="Hi! I'm bob", conversation=session).output_text.startswith("Hello Bob!")
    kinds = [item.type for item in sdk.conversations.items.list(session, order="asc")]
    assert kinds == ["message", "function_call", "function_call_output", "message", "message"]
