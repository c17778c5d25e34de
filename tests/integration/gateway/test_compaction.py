"""Conversations that are summed up, and prompts that are counted, through OpenAI's own SDK."""

import base64
import json
from typing import Any

import httpx
import openai
import pytest
from openai.types.responses import CompactedResponse

from tests.integration.conftest import Stack
from tests.support.gateways import Gateway
from tests.support.wait import wait_until
from turnstile.turns.summaries import ABOUT, Summary, mark
from turnstile.turns.text import dumps

TALK: list[Any] = [
    {"role": "developer", "content": "Be kind."},
    {"role": "user", "content": "Hi! I'm bob."},
    {"role": "assistant", "content": "Hello Bob!"},
    {"role": "user", "content": "The meeting is on Monday."},
    {"role": "assistant", "content": "Noted."},
]


def left(compacted: CompactedResponse) -> dict[str, Any]:
    """Return what is in the one item of a compacted conversation."""
    [item] = compacted.output
    assert item.type == "compaction"
    assert item.encrypted_content
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(item.encrypted_content.partition(".")[2]))
    return found


def test_a_conversation_goes_on_from_its_summary(sdk: openai.OpenAI) -> None:
    compacted = sdk.responses.compact(model="gpt-4o-mini", input=TALK)
    assert isinstance(compacted, CompactedResponse)
    assert compacted.object == "response.compaction"
    assert compacted.usage.total_tokens > 0
    assert left(compacted) == {
        "system": [{"role": "developer", "content": "Be kind."}],
        "summary": "The user said:\n- Hi! I'm bob.\n- The meeting is on Monday.",
    }
    passed_on: Any = compacted.output
    answer = sdk.responses.create(input=[*passed_on, {"role": "user", "content": "Whats my name"}])
    assert answer.output_text == "Your name is Bob."
    roles = [one.role for one in sdk.responses.input_items.list(answer.id, order="asc") if one.type == "message"]
    assert roles == ["developer", "user", "assistant", "user"]


def test_what_was_compacted_is_compacted_with_what_followed(sdk: openai.OpenAI) -> None:
    first: Any = sdk.responses.compact(model=None, input=TALK).output
    more: Any = {"role": "user", "content": "The room is blue."}
    second = sdk.responses.compact(model=None, input=[*first, more, {"role": "assistant", "content": "Fine."}])
    assert left(second)["system"] == [{"role": "developer", "content": "Be kind."}]
    assert "I'm bob" in left(second)["summary"]
    assert "The room is blue." in left(second)["summary"]


def test_a_stored_conversation_is_not_changed(sdk: openai.OpenAI) -> None:
    first = sdk.responses.create(input=[TALK[0], {"role": "user", "content": "I'm ann"}])
    assert first.conversation
    compacted = sdk.responses.compact(model="gpt-4o-mini", previous_response_id=first.id)
    assert left(compacted)["system"] == [{"role": "developer", "content": "Be kind."}]
    assert "I'm ann" in left(compacted)["summary"]
    assert len(sdk.conversations.items.list(first.conversation.id).data) == 3
    with pytest.raises(openai.NotFoundError):
        sdk.responses.retrieve(compacted.id)
    answer = sdk.responses.create(input="Whats my name", previous_response_id=first.id)
    assert answer.output_text == "Your name is Ann."


COMPACTED: Any = [{"type": "compaction", "compact_threshold": 1_000}]


def keep_summary(stack: Stack, session: str, place: int, text: str) -> None:
    """Keep a summary of the first messages of a conversation, as a worker does."""
    [last] = stack.store.read_messages(session, place - 1, 1, 1, 1_000_000)
    assert stack.store.write_summary(session, "", Summary(mark(place, last), text))


def test_a_kept_summary_is_compacted_with_what_followed(stack: Stack, sdk: openai.OpenAI, session: str) -> None:
    elements = [dumps({"type": kind, "data": {"content": f"{kind} {n}"}}) for n in range(5_050) for kind in ("human", "ai")]
    stack.store.client.lpush(stack.store.keys.history(session), *elements)
    last = sdk.responses.create(input="The room is blue.", conversation=session)
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.responses.compact(model=None, previous_response_id=last.id)
    assert refused.value.code == "context_length_exceeded"
    keep_summary(stack, session, 10_098, "I'm bob.")
    compacted = left(sdk.responses.compact(model=None, previous_response_id=last.id))
    assert compacted["summary"].split("\n- ")[1:] == [ABOUT + "I'm bob.", "human 5049", "The room is blue."]


def test_a_conversation_that_is_compacted_goes_on_from_its_summary(stack: Stack, sdk: openai.OpenAI, session: str) -> None:
    def name(**asked: Any) -> Any:
        return sdk.responses.create(input="Whats my name", conversation=session, **asked).output_text

    sdk.responses.create(input="I'm ann", conversation=session)
    keep_summary(stack, session, 2, "I'm zoe.")
    assert name() == "Your name is Ann."
    assert name(context_management=[]) == "Your name is Ann."
    assert name(context_management=COMPACTED) == "Your name is Zoe."
    assert name(context_management=[{"type": "compaction"}]) == "Your name is Zoe."


def test_a_conversation_is_summed_up_before_it_reaches_the_threshold(stack: Stack, sdk: openai.OpenAI, session: str) -> None:
    last = sdk.responses.create(input="I'm ann", conversation=session)
    for _ in range(5):
        last = sdk.responses.create(input="x" * 400, previous_response_id=last.id, context_management=COMPACTED)
    wait_until(lambda: stack.store.read_summary(session) is not None, "the conversation is summed up")
    summary = stack.store.read_summary(session)
    assert summary
    assert "I'm ann" in summary.text
    assert 2 <= summary.place < 12
    asked: Any = {"previous_response_id": last.id, "context_management": COMPACTED}
    assert sdk.responses.create(input="Whats my name", **asked).output_text == "Your name is Ann."


def test_input_of_its_own_is_not_compacted(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="only what is stored is compacted") as refused:
        sdk.responses.create(input="x" * 4_000, context_management=COMPACTED)
    assert refused.value.param == "context_management"
    assert sdk.responses.create(input="x" * 3_900, context_management=COMPACTED).status == "completed"


@pytest.mark.parametrize(
    ("managed", "param"),
    [
        ([{"type": "clear"}], "context_management[0].type"),
        ([{"type": "compaction", "compact_threshold": 999}], "context_management[0].compact_threshold"),
        ([{"type": "compaction", "compact_threshold": "many"}], "context_management[0].compact_threshold"),
        ([{"type": "compaction"}] * 2, "context_management"),
        ({"type": "compaction"}, "context_management"),
    ],
)
def test_a_wrong_way_to_compact_is_named(http: httpx.Client, managed: Any, param: str) -> None:
    refused = http.post("/v1/responses", json={"input": "hi", "context_management": managed})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)


def test_a_summary_is_an_item_of_a_conversation(sdk: openai.OpenAI) -> None:
    output: Any = sdk.responses.compact(model=None, input=TALK).output
    conversation = sdk.conversations.create(items=output)
    answer = sdk.responses.create(input="Whats my name", conversation=conversation.id)
    assert answer.output_text == "Your name is Bob."


@pytest.mark.parametrize("content", [None, 3, "", "gAAAAABn", "turnstile-summary-1.*", "turnstile-summary-1._w=="])
def test_a_summary_of_another_server_is_refused(http: httpx.Client, content: Any) -> None:
    body = {"input": [{"type": "compaction", "encrypted_content": content}, {"role": "user", "content": "hi"}]}
    refused = http.post("/v1/responses", json=body)
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "input[0].encrypted_content"


def test_a_summary_that_cannot_be_written_is_an_error(sdk: openai.OpenAI, http: httpx.Client) -> None:
    with pytest.raises(openai.BadRequestError, match="nothing to compact"):
        sdk.responses.compact(model="gpt-4o-mini")
    assert http.post("/v1/responses/compact", json={"input": "hi", "stream": True}).status_code == 400
    calling = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
    with pytest.raises(openai.BadRequestError, match="No tool output found for function call c1"):
        sdk.responses.compact(model="gpt-4o-mini", input=[*TALK, calling])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reasoning", 5),
        ("tools", 5),
        ("text", {"format": {"type": "nope"}}),
        ("include", 5),
        ("conversation", "foo"),
        ("max_output_tokens", "many"),
    ],
)
def test_a_wrong_part_of_a_request_for_a_summary_is_named(http: httpx.Client, name: str, value: Any) -> None:
    refused = http.post("/v1/responses/compact", json={"input": "hi", name: value})
    assert refused.status_code == 400
    assert refused.json()["error"]["param"].startswith(name)


def test_a_request_for_a_summary_may_have_the_parts_of_the_one_before(http: httpx.Client) -> None:
    tool = {"type": "function", "name": "pay", "parameters": {"type": "object", "properties": {}}}
    more = {"tools": [tool], "reasoning": {"effort": "low"}, "parallel_tool_calls": True, "text": {"verbosity": "low"}}
    assert http.post("/v1/responses/compact", json={"input": "hi", "conversation": None, **more}).status_code == 200


def test_a_prompt_is_counted_with_what_a_worker_adds(stack: Any, sdk: openai.OpenAI) -> None:
    def count(**asked: Any) -> int:
        counted = sdk.responses.input_tokens.count(**asked)
        assert counted.object == "response.input_tokens"
        return counted.input_tokens

    bare = count(input="x" * 400)
    assert 100 < bare < 125
    assert count(input="x" * 800) == bare + 100
    assert count(input="x" * 400, instructions="y" * 40) == bare - len("You're an assistant.") // 4 + 10
    tool = {"type": "function", "name": "pay", "parameters": {"type": "object", "properties": {}}, "description": "z" * 400}
    assert count(input="x" * 400, tools=[tool]) > bare + 100
    picture = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    assert count(input=[{"role": "user", "content": [{"type": "input_text", "text": "x" * 400}, picture]}]) == bare + 85
    first = sdk.responses.create(input="x" * 400)
    assert first.conversation
    following = count(input="x" * 400, previous_response_id=first.id)
    assert following > 2 * bare
    assert count(input="x" * 400, conversation=first.conversation.id) == following
    assert count(conversation=first.conversation.id) < following
    other = sdk.responses.create(input="and on it goes", previous_response_id=first.id)
    assert count(input="x" * 400, previous_response_id=first.id) == following
    assert count(input="x" * 400, previous_response_id=other.id) > following


def test_a_window_bounds_the_count(redis_url: str, tmp_path: Any) -> None:
    with Gateway(redis_url, tmp_path, TURNSTILE_WINDOW_MESSAGES="2") as gateway, gateway.sdk() as sdk:
        items: list[Any] = [{"role": "user", "content": "x" * 400} for _ in range(20)]
        conversation = sdk.conversations.create(items=items).id
        window = sdk.responses.input_tokens.count(conversation=conversation).input_tokens
        whole = sdk.responses.input_tokens.count(conversation=conversation, truncation="disabled").input_tokens
    assert 200 < window < 250
    assert whole > 2000
