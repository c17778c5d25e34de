"""The model's request arguments, its reading of streams, and its connection pool."""

import json
import typing
from typing import Any
from unittest.mock import Mock

import openai
import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    InvalidToolCall,
    SystemMessage,
    ToolCall,
    ToolMessage,
)
from langchain_openai import ChatOpenAI

from turnstile.turns.settings import Settings
from turnstile.workers.chains.openai.chunks import merged, parsed
from turnstile.workers.chains.openai.model import OPENAI_URL, build_model, call_options, close_model


def text(content: str, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": content, **delta}, "finish_reason": None}]}


def end(reason: str = "stop") -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}


def contents(chunks: list[dict[str, Any]]) -> list[Any]:
    return [chunk["choices"][0]["delta"].get("content") if chunk["choices"] else None for chunk in chunks]


def test_neighbouring_text_is_merged_and_nothing_else() -> None:
    tool = {"choices": [{"index": 0, "delta": {"content": "", "tool_calls": [{"index": 0}]}, "finish_reason": None}]}
    usage: dict[str, Any] = {"choices": [], "usage": {"total_tokens": 3}}
    chunks = list(merged([text("", role="assistant"), text("a"), text("b"), tool, text("c"), end(), usage]))
    assert contents(chunks) == ["ab", "", "c", None, None]
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"


def test_probabilities_of_neighbouring_text_are_merged_with_it() -> None:
    likely = [text(letter) for letter in "abc"]
    for chunk, letter in zip(likely, "abc", strict=True):
        chunk["choices"][0]["logprobs"] = {"content": [{"token": letter, "logprob": -0.1}], "refusal": None}
    refused = text("d")
    refused["choices"][0]["logprobs"] = {"content": None, "refusal": [{"token": "d", "logprob": -0.1}]}
    first, last = merged([*likely, refused])
    assert first["choices"][0]["delta"]["content"] == "abc"
    assert [token["token"] for token in first["choices"][0]["logprobs"]["content"]] == ["a", "b", "c"]
    assert last["choices"][0]["logprobs"]["refusal"]


def part(index: int, arguments: str, **more: Any) -> dict[str, Any]:
    call = {"index": index, "function": {"arguments": arguments}}
    if more:
        call |= {"id": more["id"], "type": "function", "function": {"name": "look", "arguments": arguments}}
    return {"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}]}


def test_neighbouring_arguments_of_one_call_are_merged() -> None:
    stream = [part(0, "", id="a"), part(0, '{"n'), part(0, '": 1}'), part(1, "", id="b"), part(1, "{}"), part(0, " "), end()]
    chunks = list(merged(stream))
    told = [chunk["choices"][0]["delta"]["tool_calls"][0] for chunk in chunks[:-1]]
    assert [(call["index"], call["function"]["arguments"]) for call in told] == [(0, '{"n": 1}'), (1, "{}"), (0, " ")]
    assert [call.get("id") for call in told] == ["a", "b", None]


def test_two_whole_calls_of_one_index_are_not_merged() -> None:
    assert len(list(merged([part(0, "{}", id="a"), part(0, "{}", id="b")]))) == 2


def test_neighbouring_reasoning_is_merged_apart_from_text() -> None:
    thought = [text("", reasoning_content="a"), text("", reasoning_content="b"), text("c"), text("d", reasoning_content="e")]
    deltas = [chunk["choices"][0]["delta"] for chunk in merged(thought)]
    assert [delta.get("reasoning_content") for delta in deltas] == ["ab", None, "e"]
    assert [delta["content"] for delta in deltas] == ["", "c", "d"]


def test_other_lines_of_a_stream_are_passed_over() -> None:
    lines = [b": keepalive", b"", b"event: x\r", b'data: {"a": 1}\r', b"data:{}", b"id: 3", b"data: [DONE]", b"data: {}"]
    chunks = list(parsed(lines))
    assert chunks[:2] == [{"a": 1}, {}]
    assert len(chunks) == 3


@pytest.mark.parametrize("line", [b"data: [1]", b"data: <html>", b"data:"])
def test_a_line_that_is_no_object_is_an_error(line: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # json's error is one, and all that is promised
        list(parsed([line]))


def test_options_become_call_arguments() -> None:
    schema = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True, "description": None}
    options = {"model": "m", "temperature": 0.0, "max_output_tokens": 9, "instructions": "x", "text": {"format": schema}}
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True}}
    assert call_options(options) == {
        "model": "m",
        "temperature": 0.0,
        "max_completion_tokens": 9,
        "extra_body": {"response_format": wanted},
    }


TOOLS = [{"type": "function", "function": {"name": "look"}}]


def test_tools_become_call_arguments() -> None:
    options = {"tools": TOOLS, "tool_choice": "required", "parallel_tool_calls": False}
    assert call_options(options) == options
    assert call_options({"tools": [], "tool_choice": "none", "parallel_tool_calls": True}) == {}


async def test_reasoning_goes_back_with_the_calls_of_the_same_exchange() -> None:
    def thinking(id: str) -> AIMessage:
        return AIMessage("", tool_calls=[ToolCall(name="look", args={}, id=id)], additional_kwargs={"reasoning_content": id})

    model = build_model(Settings(), "http://127.0.0.1:1/v1")
    earlier = [HumanMessage("one"), thinking("a"), ToolMessage("seen", tool_call_id="a"), AIMessage("done")]
    spoken = AIMessage("well", additional_kwargs={"reasoning_content": "c"})
    now = [HumanMessage("two"), thinking("b"), ToolMessage("seen", tool_call_id="b"), spoken]
    told = model._get_request_payload([*earlier, *now])["messages"]
    assert [message.get("reasoning_content") for message in told] == [None, None, None, None, None, "b", None, None]
    await close_model(model)


CALL = {"name": "look", "args": {"n": 1}, "id": "c1"}
SAID: list[BaseMessage] = [
    SystemMessage("Be brief"),
    HumanMessage("Hi! I'm bob"),
    AIMessage("Hello", additional_kwargs={"refusal": None}, response_metadata={"model_name": "m"}, id="a1"),
    HumanMessage("With a name", name="bob"),
    HumanMessage("Named otherwise", additional_kwargs={"name": "bob"}),
    HumanMessage([{"type": "text", "text": "parts"}, {"type": "image_url", "image_url": {"url": "data:,"}}]),
    AIMessage("", tool_calls=[ToolCall(name="look", args={"n": 1}, id="c1")]),
    ToolMessage("found", tool_call_id="c1"),
    AIMessage("", additional_kwargs={"tool_calls": [{"id": "c2", "type": "function", "function": CALL, "index": 0}]}),
    AIMessage("", invalid_tool_calls=[InvalidToolCall(type="invalid_tool_call", name="look", args="{", id="c3", error=None)]),
    AIMessage("old", additional_kwargs={"function_call": {"name": "look", "arguments": "{}"}}),
    AIMessage("heard", additional_kwargs={"audio": {"id": "u1", "data": "…"}}),
    AIMessage([{"type": "text", "text": "parts", "annotations": []}, {"type": "reasoning", "reasoning": "…"}]),
    AIMessageChunk(content="a chunk"),
    FunctionMessage(content="f", name="look"),
    ChatMessage(content="as whoever", role="critic"),
]


@pytest.mark.parametrize("name", ["gpt-4o-mini", "o3"])
async def test_a_request_says_what_langchains_own_would(name: str) -> None:
    model = build_model(Settings(model=name, temperature=0.5, max_output_tokens=7), "http://127.0.0.1:1/v1")
    for messages in (SAID, SAID[:3], SAID[1:2], []):
        for more in ({}, {"stop": ["x"]}, {"extra_body": {"a": 1}}):
            wanted = ChatOpenAI._get_request_payload(model, messages, **more)
            found = model._get_request_payload(messages, **more)
            assert found == wanted
            assert json.dumps(found) == json.dumps(wanted)
    assert model._get_request_payload("only a text") == ChatOpenAI._get_request_payload(model, "only a text")
    await close_model(model)


@pytest.mark.parametrize("options", [{}, {"model": None, "text": None}, {"text": {}}, {"metadata": {"a": "b"}}])
def test_options_that_say_nothing_change_nothing(options: dict[str, Any]) -> None:
    assert call_options(options) == {}


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")


def proxies(client: openai.AsyncOpenAI) -> int:
    return len([transport for transport in client._client._mounts.values() if transport is not None])


@pytest.mark.usefixtures("proxied")
@pytest.mark.parametrize("url", ["http://127.0.0.1:80/v1", "http://localhost:80/v1", "http://[::1]:80/v1"])
async def test_this_machine_is_reached_without_a_proxy(url: str) -> None:
    model = build_model(Settings(), url)
    assert proxies(model.root_async_client) == 0
    await close_model(model)


@pytest.mark.usefixtures("proxied")
async def test_the_world_is_reached_through_the_proxy() -> None:
    model = build_model(Settings())
    assert str(model.root_async_client.base_url).rstrip("/") == OPENAI_URL
    assert proxies(model.root_async_client) > 0
    await close_model(model)


async def test_the_model_is_set_up_from_the_settings() -> None:
    settings = Settings.model_validate(
        {
            "openai_api_key": "sk-1",
            "openai_base_url": "http://127.0.0.1:1/v1",
            "model": "m",
            "temperature": 0.5,
            "max_output_tokens": 7,
            "model_timeout": 33,
            "concurrency": 700,
        }
    )
    model = build_model(settings)
    client = model.root_async_client
    assert (model.model_name, model.temperature, model.max_tokens) == ("m", 0.5, 7)
    assert (client.api_key, str(client.base_url), client.max_retries) == ("sk-1", "http://127.0.0.1:1/v1/", 0)
    assert client._client._transport.limits.max_connections >= 700
    assert client._client.timeout.read == 33
    assert "sk-1" not in repr(model)
    assert json.loads(json.dumps(model._default_params))["max_completion_tokens"] == 7
    await close_model(model)


def test_types_of_parts_are_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_model(Settings(), "http://127.0.0.1:1/v1")
    parts: list[str | dict[Any, Any]] = [{"type": "image_url", "image_url": {"url": "data:,x"}}, {"type": "text", "text": "a"}]
    model._get_request_payload([HumanMessage(parts)])
    hints = Mock(wraps=typing.get_type_hints)
    monkeypatch.setattr("langchain_core.messages.content.get_type_hints", hints)
    payload = model._get_request_payload([SystemMessage([*parts]), HumanMessage(parts * 100)])
    assert payload["messages"][1]["content"] == parts * 100
    assert not hints.called
