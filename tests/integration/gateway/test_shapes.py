"""Every answer is valid in the SDK's own types, which the SDK itself does not check."""

from collections.abc import Iterable
from typing import Any

import httpx
import pytest
from openai.types import Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.conversations import Conversation, ConversationItem, ConversationItemList
from openai.types.responses import Response, ResponseItemList, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from tests.support.gateways import read_events

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
ITEM: TypeAdapter[Any] = TypeAdapter(ConversationItem)


def valid(kind: type[BaseModel], value: dict[str, Any]) -> None:
    """The value has the type's form, and nothing that the type does not know but for what is said here."""
    read = kind.model_validate(value)
    unknown = set(read.model_extra or ())
    assert unknown <= {"store"}, unknown


def valid_events(lines: Iterable[str]) -> list[dict[str, Any]]:
    """Return the events in an answer's lines, all valid."""
    events = list(read_events(iter(lines)))
    for event in events:
        EVENT.validate_python(event)
        if "response" in event:
            valid(Response, event["response"])
    return events


@pytest.mark.parametrize(
    ("question", "more"),
    [
        ("Hi! I'm bob", {}),
        ("a long answer, please", {"max_output_tokens": 2}),
        ("again [[fail=429 times=1]]", {}),
        ("hello", {"text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}}}),
        ("hello", {"metadata": {"a": "b"}, "user": "u", "truncation": "disabled"}),
    ],
)
def test_responses(http: httpx.Client, question: str, more: dict[str, Any]) -> None:
    answer = http.post("/v1/responses", json={"input": question, **more}).json()
    valid(Response, answer)
    replay = http.get(f"/v1/responses/{answer['id']}", params={"stream": True})
    assert valid_events(replay.text.splitlines())[-1]["response"] == answer
    valid(ResponseItemList, http.get(f"/v1/responses/{answer['id']}/input_items").json())


def test_failed_and_unstored_responses(http: httpx.Client) -> None:
    failing = http.post("/v1/responses", json={"input": "break [[fail=400]]", "background": True}).json()
    told = http.get(f"/v1/responses/{failing['id']}", params={"stream": True})
    assert valid_events(told.text.splitlines())[-1]["type"] == "response.failed"
    valid(Response, http.get(f"/v1/responses/{failing['id']}").json())
    valid(Response, http.post("/v1/responses", json={"input": "hello", "store": False}).json())


def test_waiting_and_cancelled_responses(http: httpx.Client, session: str) -> None:
    body = {"input": "wait [[hang]]", "conversation": session, "background": True}
    running, waiting = (http.post("/v1/responses", json=body).json() for _ in range(2))
    valid(Response, waiting)
    for response in (waiting, running):
        valid(Response, http.post(f"/v1/responses/{response['id']}/cancel").json())
        valid_events(http.get(f"/v1/responses/{response['id']}", params={"stream": True}).text.splitlines())


def test_a_response_that_is_deleted_under_its_reader(http: httpx.Client, session: str) -> None:
    body = {"input": "wait [[hang]]", "conversation": session, "background": True, "stream": True}
    events: list[dict[str, Any]] = []
    with http.stream("POST", "/v1/responses", json=body) as answer:
        for event in read_events(answer.iter_lines()):
            events.append(event)
            if len(events) == 2:
                assert httpx.delete(http.base_url.join(f"/v1/conversations/{session}")).status_code == 200
    assert events[-1]["type"] == "error"
    assert events[-1]["code"] == "not_found"
    EVENT.validate_python(events[-1])


def test_conversations(http: httpx.Client) -> None:
    picture = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    file = {"type": "input_file", "file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a.pdf"}
    items = [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [{"type": "input_text", "text": "hi"}, picture, file]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hello", "annotations": []}]},
    ]
    begun = http.post("/v1/conversations", json={"items": items, "metadata": {"a": "b"}}).json()
    valid(Conversation, begun)
    page = http.get(f"/v1/conversations/{begun['id']}/items").json()
    valid(ConversationItemList, page)
    for item in page["data"]:
        one = http.get(f"/v1/conversations/{begun['id']}/items/{item['id']}").json()
        ITEM.validate_python(one)
        assert one == item


def test_chat_completions(http: httpx.Client) -> None:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
    valid(ChatCompletion, http.post("/v1/chat/completions", json=body).json())
    streamed = http.post("/v1/chat/completions", json={**body, "stream": True, "stream_options": {"include_usage": True}})
    for chunk in read_events(iter(streamed.text.splitlines())):
        valid(ChatCompletionChunk, chunk)


def test_models(http: httpx.Client) -> None:
    for model in http.get("/v1/models").json()["data"]:
        valid(Model, model)
