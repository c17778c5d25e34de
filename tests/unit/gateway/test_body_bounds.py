"""Bounds on what a small body can make the gateway do."""

import base64
import json
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from turnstile.producers.gateway.batches.requests import QuestionLine, RequestLine
from turnstile.producers.gateway.chat.schemas import ChatRequest
from turnstile.producers.gateway.conversations.schemas import ItemsRequest
from turnstile.producers.gateway.edge.api_errors import ApiError
from turnstile.producers.gateway.items import compaction
from turnstile.producers.gateway.items.ids import MOST_ID, turn_part
from turnstile.producers.gateway.items.reading import MOST_COMPACTIONS, read_items
from turnstile.producers.gateway.model_server.schemas import EmbeddingRequest
from turnstile.producers.gateway.responses.schemas import ResponseRequest
from turnstile.turns.bounds import MOST_MESSAGES
from turnstile.turns.errors import InvalidTurn

HI = {"role": "user", "content": "hi"}
CHAT: dict[str, Any] = {"messages": [HI]}
LINE: dict[str, Any] = {"custom_id": "1", "method": "POST", "url": "/v1/responses", "body": {}}
STRANGERS = {f"a{n}": 0 for n in range(10_000)}


@pytest.mark.parametrize(
    ("form", "body"),
    [
        (ChatRequest, {**CHAT, "tools": [0] * 10_000}),
        (ChatRequest, {**CHAT, "functions": [0] * 10_000}),
        (ChatRequest, {"messages": [0] * MOST_MESSAGES}),
        (ChatRequest, {**CHAT, **STRANGERS}),
        (ResponseRequest, {"input": "hi", "tools": [0] * 100}),
        (ResponseRequest, {"input": "hi", **STRANGERS}),
        (EmbeddingRequest, {"model": "m", "input": "hi", **STRANGERS}),
        (ItemsRequest, {"items": [0] * 20}),
        (RequestLine, {**LINE, **STRANGERS}),
        (QuestionLine, {"session": "s", "question": "hi", **STRANGERS}),
    ],
)
def test_a_body_of_many_faults_makes_one_complaint(form: type[BaseModel], body: dict[str, Any]) -> None:
    with pytest.raises((ApiError, ValidationError)) as refused:
        form.model_validate(body)
    assert not isinstance(refused.value, ValidationError) or refused.value.error_count() == 1


def summary(system: list[Any]) -> str:
    content = json.dumps({"summary": "s", "system": system}).encode()
    return "turnstile-summary-1." + base64.urlsafe_b64encode(content).decode()


def test_a_summary_of_many_values_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    content = summary([0] * 100_000)
    monkeypatch.setattr(compaction, "Compaction", None)
    with pytest.raises(ApiError, match="was not made by"):
        compaction.read_compaction(content, "input[0].encrypted_content")


def test_messages_that_one_item_stands_for_are_counted() -> None:
    item = {"type": "compaction", "encrypted_content": summary([{"role": "system", "content": "s"}] * (MOST_MESSAGES // 2))}
    assert len(read_items([item], "input")) == MOST_MESSAGES // 2 + 2
    with pytest.raises(InvalidTurn, match="messages come with"):
        read_items([item, item], "input")


def test_many_summaries_are_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    item = {"type": "compaction", "encrypted_content": summary([])}
    assert len(read_items([item] * MOST_COMPACTIONS, "input")) == 2 * MOST_COMPACTIONS
    monkeypatch.setattr(compaction, "Compaction", None)
    with pytest.raises(ApiError, match="more than 8 compaction items"):
        read_items([item] * (MOST_COMPACTIONS + 1), "input")


@pytest.mark.parametrize(
    ("name", "item"),
    [
        ("id", HI),
        ("id", {"type": "item_reference"}),
        ("id", {"type": "mcp_call", "name": "x", "arguments": "{}", "output": ""}),
        ("id", {"type": "function_call", "call_id": "c", "name": "x", "arguments": "{}"}),
        ("call_id", {"type": "function_call_output", "output": "x"}),
        ("approval_request_id", {"type": "mcp_approval_response", "approve": True}),
    ],
)
def test_an_id_has_200_characters_at_most(name: str, item: dict[str, Any]) -> None:
    assert read_items([{**item, name: "m" * MOST_ID}], "input")
    with pytest.raises(ApiError, match="at most 200 characters") as refused:
        read_items([{**item, name: "m" * (MOST_ID + 1)}], "input")
    assert refused.value.param == f"input[0].{name}"


def test_a_long_id_names_no_turn() -> None:
    assert turn_part("msg_" + "t" * 100) == "t" * 100
    assert turn_part("msg_" + "t" * MOST_ID) is None
