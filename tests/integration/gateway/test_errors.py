"""Every wrong request gets OpenAI's error, with the parameter that is wrong."""

import os
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.integration.conftest import Stack
from turnstile.producers.gateway.edge.body import MOST_VALUES

HI = {"role": "user", "content": "hi"}


TOOL = {"type": "function", "name": "f", "parameters": {}}
PICTURE = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}


def wrong_response(param: str | None, **body: Any) -> Any:
    """Return a parameter: one wrong body for POST /v1/responses, with a readable test id."""
    return pytest.param(body, param, id=f"{param}: {str(body)[:60]}")


def deep(levels: int) -> Any:
    """Return an object in an object in an object …"""
    value: Any = 1
    for _ in range(levels):
        value = {"x": value}
    return value


WRONG_RESPONSES = [
    wrong_response("input"),
    wrong_response("input", input=None),
    wrong_response("input", input=5),
    wrong_response("input", input=""),
    wrong_response("input", input="   "),
    wrong_response("input", input=[]),
    wrong_response("input[0].role", input=[{"content": "hi"}]),
    wrong_response("input[1].role", input=[HI, {"role": "tool", "content": "hi"}]),
    wrong_response("input[0].content", input=[{"role": "user"}]),
    wrong_response("input[0].content", input=[{"role": "user", "content": []}]),
    wrong_response("input[0].content[0].type", input=[{"role": "user", "content": [{"type": "hologram"}]}]),
    wrong_response("input[0].content[0].type", input=[{"role": "user", "content": ["hi"]}]),
    wrong_response("input[0].content[0].text", input=[{"role": "user", "content": [{"type": "input_text"}]}]),
    wrong_response("input[0].content[0].image_url", input=[{"role": "user", "content": [{"type": "input_image"}]}]),
    wrong_response(
        "input[0].content[0].file_id", input=[{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]
    ),
    *(
        wrong_response("input", input=[{"role": "user", "content": [{"type": "input_image", "image_url": url}]}, *more])
        for url in ("file:///etc/passwd", "http://a.example/x.png", "https://127.0.0.1/x.png")
        for more in ([], [HI])
    ),
    wrong_response("input", input=[{"type": "function_call_output", "call_id": "c", "output": "x"}]),
    wrong_response("input", input=[HI, {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}]),
    wrong_response("input", input=[{"type": "function_call_output", "call_id": "c", "output": [PICTURE]}]),
    wrong_response("input[0].output", input=[{"type": "function_call_output", "call_id": "c"}]),
    wrong_response("input[0].call_id", input=[{"type": "function_call_output", "call_id": "c" * 201, "output": ""}]),
    wrong_response("input[0].arguments", input=[{"type": "function_call", "call_id": "c", "name": "f", "arguments": {}}]),
    wrong_response("input[0].name", input=[{"type": "function_call", "call_id": "c", "arguments": "{}"}]),
    wrong_response("input[0].id", input=[{"type": "item_reference"}]),
    wrong_response("input", input=[{"type": "item_reference", "id": f"msg_{n}"} for n in range(501)]),
    wrong_response("input[0]", input=[{"type": "mcp_approval_response", "approval_request_id": "a", "approve": True}]),
    wrong_response("input[0].approve", input=[{"type": "mcp_approval_response", "approval_request_id": "a"}]),
    wrong_response("input[1].type", input=[HI, {"type": "computer_call"}]),
    wrong_response("conversation", input="hi", conversation="a b"),
    wrong_response("conversation", input="hi", conversation="other/session"),
    wrong_response("conversation", input="hi", conversation="x" * 201),
    wrong_response("conversation", input="hi", conversation="foo", previous_response_id="resp_1"),
    wrong_response("conversation", input="hi", conversation=7),
    wrong_response("conversation.id", input="hi", conversation={}),
    wrong_response("temperature", input="hi", temperature=3),
    wrong_response("temperature", input="hi", temperature="warm"),
    wrong_response("top_p", input="hi", top_p=-1),
    wrong_response("max_output_tokens", input="hi", max_output_tokens=0),
    wrong_response("max_output_tokens", input="hi", max_output_tokens=1.5),
    wrong_response("background", input="hi", background="yes"),
    wrong_response("stream", input="hi", stream=1),
    wrong_response("metadata", input="hi", metadata={str(n): "" for n in range(17)}),
    wrong_response("metadata", input="hi", metadata={"x" * 65: ""}),
    wrong_response("metadata", input="hi", metadata={"x": "y" * 513}),
    wrong_response("metadata.x", input="hi", metadata={"x": 1}),
    wrong_response("model", input="hi", model=""),
    wrong_response("instructions", input="hi", instructions=["be brief"]),
    wrong_response("tools[0].type", input="hi", tools=[{"type": "web_search"}]),
    wrong_response("tools[0].name", input="hi", tools=[{"type": "function", "name": "a b"}]),
    wrong_response("tools[0].parameters", input="hi", tools=[{"type": "function", "name": "f", "parameters": "x"}]),
    wrong_response("tools[0].defer_loading", input="hi", tools=[{**TOOL, "defer_loading": True}]),
    wrong_response("tools", input="hi", tools=[TOOL, TOOL]),
    wrong_response("tools", input="hi", tools=[TOOL] * 129),
    wrong_response("tool_choice", input="hi", tool_choice="required"),
    wrong_response("tool_choice", input="hi", tools=[TOOL], tool_choice={"type": "function", "name": "g"}),
    wrong_response("tool_choice.type", input="hi", tool_choice={}),
    wrong_response("tool_choice.mode", input="hi", tool_choice={"type": "allowed_tools"}),
    wrong_response(
        "tool_choice.tools", input="hi", tools=[TOOL], tool_choice={"type": "allowed_tools", "mode": "auto", "tools": []}
    ),
    wrong_response("max_tool_calls", input="hi", max_tool_calls=0),
    wrong_response("include[0]", input="hi", include=["everything"]),
    wrong_response("prompt", input="hi", prompt={"id": "p"}),
    wrong_response("truncation", input="hi", truncation="sometimes"),
    wrong_response("reasoning.effort", input="hi", reasoning={"effort": 5}),
    wrong_response("reasoning.surprise", input="hi", reasoning={"surprise": 5}),
    wrong_response("moderation", input="hi", moderation={"model": "m"}),
    wrong_response("max_tokens", input="hi", max_tokens=5),
    wrong_response("parameters", input="hi", surprise={"x": "y" * 131_072}),
    wrong_response("parameters", input="hi", surprise=deep(70)),
    wrong_response("text.format.type", input="hi", text={"format": {"type": "grammar"}}),
    wrong_response("text.format.schema", input="hi", text={"format": {"type": "json_schema", "name": "x"}}),
    wrong_response("stream_options.include_obfuscation", input="hi", stream_options={"include_obfuscation": True}),
]


def error_of(answer: httpx.Response, status: int) -> dict[str, Any]:
    """Return the error in an answer, which has all its parts."""
    assert answer.status_code == status, answer.text
    assert answer.headers["x-request-id"].startswith("req_")
    body: dict[str, Any] = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["message"]
    error: dict[str, Any] = body["error"]
    return error


@pytest.mark.parametrize(("body", "param"), WRONG_RESPONSES)
def test_wrong_responses(http: httpx.Client, stack: Stack, body: dict[str, Any], param: str) -> None:
    accepted = stack.store.stats().get("accepted", 0)
    error = error_of(http.post("/v1/responses", json=body), 400)
    assert (error["param"], error["type"]) == (param, "invalid_request_error")
    assert stack.store.stats().get("accepted", 0) == accepted


WRONG_CHATS: list[tuple[dict[str, Any], str]] = [
    ({}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": "hi"}, "messages"),
    ({"messages": [{"content": "hi"}]}, "messages[0].role"),
    ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "c"}, HI]}, "messages[0].role"),
    ({"messages": [{"role": "assistant", "content": "x", "tool_calls": [{"id": "c"}]}, HI]}, "messages[0].tool_calls[0].type"),
    ({"messages": [{"role": "assistant", "content": "x", "tool_calls": "c"}, HI]}, "messages[0].tool_calls"),
    ({"messages": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]}, "messages[0].content[0].type"),
    ({"messages": [HI, {"role": "user", "content": []}]}, "messages[1].content"),
    ({"messages": [HI, {"role": "tool", "content": "x"}]}, "messages[1].tool_call_id"),
    ({"messages": [{**HI, "tool_calls": [{}]}]}, "messages[0].tool_calls"),
    ({"messages": [{"role": "assistant", "content": None, "refusal": 5}, HI]}, "messages[0].refusal"),
    ({"messages": [HI], "n": 2}, "n"),
    ({"messages": [HI], "modalities": ["text", "audio"], "audio": {"voice": "ash"}}, "modalities"),
    ({"messages": [HI], "extra_body": {"top_k": 1}}, "extra_body"),
    ({"messages": [HI], "surprise": deep(70)}, "parameters"),
    ({"messages": [HI], "logit_bias": {str(n): 1 for n in range(20_000)}}, "parameters"),
    ({"messages": [HI], "tools": [{"type": "function"}]}, "tools[0]"),
    ({"messages": [HI], "tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0]"),
    ({"messages": [HI], "tool_choice": "required"}, "tool_choice"),
    ({"messages": [HI], "response_format": {"type": "xml"}}, "response_format.type"),
    ({"messages": [HI], "max_tokens": -1}, "max_tokens"),
    ({"messages": [HI], "metadata": {"session_id": "a/b"}}, "metadata.session_id"),
    ({"messages": [HI], "store": True}, "store"),
    ({"messages": [{**HI, "name": 5}]}, "messages[0].name"),
]


@pytest.mark.parametrize(("body", "param"), WRONG_CHATS, ids=lambda value: str(value)[:60])
def test_wrong_chats(http: httpx.Client, body: dict[str, Any], param: str) -> None:
    assert error_of(http.post("/v1/chat/completions", json=body), 400)["param"] == param


WRONG_REST: list[tuple[str, str, Any, int, str | None]] = [
    ("GET", "/v1/responses/resp_none", None, 404, "response_id"),
    ("GET", "/v1/responses/r%20x", None, 404, "response_id"),
    ("POST", "/v1/responses/resp_none/cancel", None, 404, "response_id"),
    ("DELETE", "/v1/responses/resp_none", None, 404, "response_id"),
    ("GET", "/v1/responses/resp_none/input_items", None, 404, "response_id"),
    ("GET", "/v1/responses/resp_none?stream=perhaps", None, 400, "stream"),
    ("GET", "/v1/responses/resp_none?include=everything", None, 400, "include[0]"),
    ("GET", "/v1/responses/resp_none?include_obfuscation=true", None, 400, "include_obfuscation"),
    ("GET", "/v1/responses/resp_none?stream=true&starting_after=-2", None, 400, "starting_after"),
    ("GET", "/v1/responses/resp_none/input_items?limit=0", None, 400, "limit"),
    ("GET", "/v1/responses/resp_none/input_items?order=up", None, 400, "order"),
    ("POST", "/v1/responses", {"input": "hi", "previous_response_id": "resp_none"}, 404, "previous_response_id"),
    ("GET", "/v1/conversations/conv_none", None, 404, "conversation_id"),
    ("GET", "/v1/conversations/a%2Fb", None, 404, None),
    ("POST", "/v1/conversations/conv_none", {"metadata": {}}, 404, "conversation_id"),
    ("POST", "/v1/conversations/conv_none", {}, 400, "metadata"),
    ("DELETE", "/v1/conversations/conv_none", None, 404, "conversation_id"),
    ("GET", "/v1/conversations/conv_none/items", None, 404, "conversation_id"),
    ("POST", "/v1/conversations/conv_none/items", {"items": [HI]}, 404, "conversation_id"),
    ("POST", "/v1/conversations/conv_none/items", {"items": []}, 400, "items"),
    ("POST", "/v1/conversations/conv_none/items", {"items": [HI] * 21}, 400, "items"),
    ("POST", "/v1/conversations/conv_none/items", {"items": [{"role": "user"}]}, 400, "items[0].content"),
    ("POST", "/v1/conversations", {"items": [HI] * 21}, 400, "items"),
    ("POST", "/v1/conversations", {"metadata": {"x": 1}}, 400, "metadata.x"),
    ("POST", "/v1/responses", [], 400, None),
    ("GET", "/v1/nothing", None, 404, None),
    ("PUT", "/v1/responses", {}, 405, None),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "param"), WRONG_REST)
def test_wrong_requests(http: httpx.Client, method: str, path: str, body: Any, status: int, param: str | None) -> None:
    assert error_of(http.request(method, path, json=body), status)["param"] == param


BROKEN_BODIES: list[tuple[bytes, int]] = [
    (b"", 400),
    (b"{", 400),
    (b"\xff\xfe", 400),
    (b'{"input": "\\ud800"}', 400),
    (b'{"input": "hi", "metadata": {"\\udc00": ""}}', 400),
    (b'{"input": "hi", "temperature": NaN}', 400),
    (b'{"input": "hi", "text": {"format": {"type": "json_schema", "name": "x", "schema": {"a": NaN}}}}', 400),
    (b'{"input": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"a": Infinity}}]}]}', 400),
    (b'{"input": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"a": [{}]}}]}]}', 400),
    (b'{"input": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", 400),
]


@pytest.mark.parametrize(("content", "status"), BROKEN_BODIES, ids=lambda value: str(value)[:40])
def test_broken_bodies(http: httpx.Client, content: bytes, status: int) -> None:
    headers = {"content-type": "application/json"}
    error_of(http.post("/v1/responses", content=content, headers=headers), status)


@pytest.mark.parametrize("depth", [100, 300, 900, 990, 1_100, 3_000])
def test_deep_bodies_are_no_defect(http: httpx.Client, depth: int) -> None:
    schema = '{"a": ' * depth + "{}" + "}" * depth
    opening = '{"input": "hi", "background": true, "text": {"format": {"type": "json_schema", "name": "x", "schema": '
    body = f"{opening}{schema}}}}}}}"
    answer = http.post("/v1/responses", content=body, headers={"content-type": "application/json"})
    if answer.status_code != 200:
        error_of(answer, 400)
    else:
        assert http.get(f"/v1/responses/{answer.json()['id']}").status_code == 200


def test_large_heads_are_refused_before_they_are_read(http: httpx.Client) -> None:
    """Twenty clients with such queries kept all others waiting for a second."""
    for url in ("/v1/responses/resp_x?" + "include=&" * 6_000, f"/v1/models/{'m' * 5_000}"):
        answer = http.get(url)
        assert (answer.status_code, answer.headers["connection"]) == (400, "close")
        assert answer.text == "The path and its query have more than 4,096 bytes."
    answer = http.get("/v1/models", headers={f"x-{n}": "y" for n in range(250)})
    assert (answer.status_code, answer.text) == (400, "The request has more than 200 headers.")


def test_too_large(http: httpx.Client) -> None:
    body = {"input": "x" * 9_000_000}
    error_of(http.post("/v1/responses", json=body), 413)
    headers = {"content-type": "application/json"}
    error_of(http.post("/v1/responses", content=iter([b"x" * 5_000_000] * 2), headers=headers), 413)
    error = error_of(http.post("/v1/responses", json={"input": "x" * 300_000}), 400)
    assert (error["param"], "TURNSTILE_MAX_QUESTION_BYTES" in error["message"]) == ("input", True)
    chat = {"messages": [{"role": "user", "content": "x" * 300_000}], "metadata": {"session_id": "large"}}
    assert error_of(http.post("/v1/chat/completions", json=chat), 400)["param"] == "messages"


# A little less than is refused before it is read.
MANY = MOST_VALUES - 10_000
CPU_SECONDS = 2.0
UNKNOWN = '"k%d":1'
IN_FORMAT = '{"input":"hi","text":{"format":{"type":"text",%s}}}'
FLOODS = {
    "unknown parameters": ("/v1/responses", '{"input":"hi",%s}', UNKNOWN, "parameters"),
    "unknown parts of a format": ("/v1/responses", IN_FORMAT, UNKNOWN, "text.format.k0"),
    "unknown parts of an id": ("/v1/responses", '{"input":"hi","conversation":{"id":"a",%s}}', UNKNOWN, "conversation.k0"),
    "metadata": ("/v1/conversations", '{"metadata":{%s}}', UNKNOWN, "metadata"),
    "numbers for items": ("/v1/responses", '{"input":[%s]}', "%d", "input"),
    "numbers for messages": ("/v1/chat/completions", '{"messages":[%s]}', "%d", "messages"),
    "tiny messages": ("/v1/chat/completions", '{"messages":[%s]}', '{"role":"user","content":"%d"}', "messages"),
    "tiny parts": ("/v1/responses", '{"input":[{"role":"user","content":[%s]}]}', '{"type":"text","text":"%d"}', "input"),
}


def cpu_seconds(pid: int) -> float:
    """The time that a process has computed for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_of_small_things_costs_little(http: httpx.Client, stack: Stack, flood: str) -> None:
    path, body, one, param = FLOODS[flood]
    content = body % ",".join(one % n for n in range(MANY // (1 + one.count(",") + one.count("{"))))
    assert stack.gateway.process
    spent = cpu_seconds(stack.gateway.process.pid)
    error = error_of(http.post(path, content=content, headers={"content-type": "application/json"}, timeout=600), 400)
    assert cpu_seconds(stack.gateway.process.pid) - spent < CPU_SECONDS
    assert (error["param"], error["code"]) == (param, "unknown_parameter" if "k0" in param else "invalid_value")
    assert "k0" in param or "at most" in error["message"] or "more than" in error["message"]


def test_the_bounds_of_a_turn_are_named(http: httpx.Client) -> None:
    deep: Any = []
    for _ in range(100):
        deep = [deep]
    item = {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": deep}}]}
    error = error_of(http.post("/v1/responses", json={"input": [item]}), 400)
    assert error["param"] == "input[0].content[0].input_audio"
    error = error_of(http.post("/v1/conversations", json={"items": [item]}), 400)
    assert error["param"] == "items[0].content[0].input_audio"
    error = error_of(http.post("/v1/responses", json={"input": "hi", "surprise": deep}), 400)
    assert (error["param"], "64 deep" in error["message"]) == ("parameters", True)
    error = error_of(http.post("/v1/conversations", json={"items": [{"role": "user", "content": "x" * 300_000}]}), 400)
    assert (error["param"], "TURNSTILE_MAX_QUESTION_BYTES" in error["message"]) == ("items[0].content", True)
    for name, most in (("instructions", "TURNSTILE_MAX_QUESTION_BYTES"), ("user", "512"), ("safety_identifier", "512")):
        error = error_of(http.post("/v1/responses", json={"input": "hi", name: "x" * 300_000}), 400)
        assert (error["param"], most in error["message"]) == (name, True)


def test_large_pictures_are_no_large_questions(sdk: openai.OpenAI) -> None:
    picture = f"data:image/png;base64,{'iVBORw0KGgo=' * 100_000}"
    parts: Any = [{"type": "input_text", "text": "What is this?"}, {"type": "input_image", "image_url": picture}]
    assert sdk.responses.create(input=[{"role": "user", "content": parts}]).output_text == "You said: What is this?"
    shown: Any = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": picture}}]
    answer = sdk.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": shown}])
    assert answer.choices[0].message.content == "You said: What is this?"


def test_large_but_allowed(sdk: openai.OpenAI) -> None:
    earlier: Any = [{"role": "user", "content": "x" * 200_000}, {"role": "assistant", "content": "y" * 200_000}] * 10
    answer = sdk.chat.completions.create(model="gpt-4o-mini", messages=[*earlier, {"role": "user", "content": "hi"}])
    assert answer.choices[0].message.content == "You said: hi"


@pytest.mark.parametrize("reasoning", [None, {}, {"effort": None, "summary": None}])
def test_what_asks_for_nothing_is_let_through(http: httpx.Client, reasoning: Any) -> None:
    body = {"input": "hi", "reasoning": reasoning, "parallel_tool_calls": False, "tool_choice": "none"}
    answer = http.post("/v1/responses", json=body).json()
    assert (answer["status"], answer["parallel_tool_calls"], answer["tool_choice"]) == ("completed", False, "none")
    chat = http.post("/v1/chat/completions", json={"messages": [HI], "store": False, "tool_choice": "none"})
    assert chat.status_code == 200


def test_an_unknown_item(sdk: openai.OpenAI, session: str) -> None:
    sdk.responses.create(input="hi", conversation=session)
    with pytest.raises(openai.NotFoundError) as unknown:
        sdk.conversations.items.list(session, after="msg_none")
    assert unknown.value.param == "after"
    for id in ("msg_none", "msg_x0_0123456789abcdef", "%00", "msg_"):
        with pytest.raises(openai.NotFoundError) as unknown:
            sdk.conversations.items.retrieve(id, conversation_id=session)
        assert unknown.value.param == "item_id"


def test_the_openapi_document_names_what_is_there(http: httpx.Client) -> None:
    document = http.get("/openapi.json").json()
    assert {"/v1/responses", "/v1/conversations", "/v1/chat/completions", "/v1/models"} <= set(document["paths"])
    for operations in document["paths"].values():
        for operation in operations.values():
            assert operation["summary"]
            described = {code for code in operation["responses"] if code != "200"}
            assert "422" not in described or "idempotency" in operation["responses"]["422"]["description"]
