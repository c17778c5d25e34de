"""Tools of clients through the gateway: calls in the output, their answers in what follows."""

import json
from typing import Any

import httpx
import openai
import pytest
from openai.types.responses import Response, ResponseFunctionToolCall

from tests.support.gateways import ended, read_events

PAY: Any = {
    "type": "function",
    "name": "pay",
    "description": "Pay an amount.",
    "parameters": {"type": "object", "properties": {"amount": {"type": "integer"}}, "required": ["amount"]},
    "strict": False,
}
LOOK: Any = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}, "strict": None}
TOOLS: Any = [PAY, LOOK]
ASK = 'call pay {"amount": 3}'
BOTH = 'call pay {"amount": 3}\ncall look {}'
CALLED = [
    "response.output_item.added", "response.function_call_arguments.delta", "response.function_call_arguments.done",
    "response.output_item.done",
]  # fmt: skip


def calls_of(response: Response) -> list[ResponseFunctionToolCall]:
    """Return the calls in a response."""
    return [item for item in response.output if item.type == "function_call"]


def outputs_of(response: Response) -> Any:
    """Return an output for each call."""
    return [
        {"type": "function_call_output", "call_id": call.call_id, "output": f"{call.name} done"} for call in calls_of(response)
    ]


def events_of(http: httpx.Client, id: str, after: int | None = None) -> list[dict[str, Any]]:
    """Return all events of a response after one of them."""
    params: dict[str, Any] = {"stream": True} | ({} if after is None else {"starting_after": after})
    with http.stream("GET", f"/v1/responses/{id}", params=params) as answer:
        return list(read_events(answer.iter_lines()))


def test_a_call_ends_the_response(sdk: openai.OpenAI) -> None:
    response = sdk.responses.create(input=ASK, tools=TOOLS, max_tool_calls=3, include=["reasoning.encrypted_content"])
    [call] = response.output
    assert isinstance(call, ResponseFunctionToolCall)
    assert (call.name, json.loads(call.arguments), call.status) == ("pay", {"amount": 3}, "completed")
    assert (response.status, response.output_text, response.max_tool_calls) == ("completed", "", 3)
    assert [tool.to_dict() for tool in response.tools] == [PAY, {**LOOK, "description": None}]
    assert sdk.responses.retrieve(response.id).to_dict() == response.to_dict()


def test_all_that_a_stream_tells_of_calls(sdk: openai.OpenAI, http: httpx.Client) -> None:
    events: list[Any] = list(sdk.responses.create(input=BOTH, tools=TOOLS, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds == ["response.created", "response.in_progress", *CALLED, *CALLED, "response.completed"]
    added = [event for event in events if event.type == "response.output_item.added"]
    done = [event for event in events if event.type == "response.output_item.done"]
    assert [event.output_index for event in added] == [event.output_index for event in done] == [0, 1]
    assert [(one.item.arguments, one.item.status) for one in added] == [("", "in_progress")] * 2
    assert [one.item.call_id for one in added] == [one.item.call_id for one in done]
    assert [event.item for event in done] == events[-1].response.output
    deltas = [event.delta for event in events if event.type.endswith("arguments.delta")]
    assert list(map(json.loads, deltas)) == [{"amount": 3}, {}]
    id = events[0].response.id
    whole = events_of(http, id)
    assert [event.to_dict() for event in events] == whole
    for after in range(len(whole)):
        assert events_of(http, id, after) == whole[after + 1 :]


@pytest.mark.parametrize("held", ["previous", "conversation", "replay", "replay without store"])
def test_an_output_goes_on(sdk: openai.OpenAI, session: str, held: str) -> None:
    place: Any = {"conversation": session} if held == "conversation" else {"store": held != "replay without store"}
    first = sdk.responses.create(input=BOTH, tools=TOOLS, **place)
    given: Any = outputs_of(first)
    if held == "previous":
        place = {"previous_response_id": first.id}
    elif held.startswith("replay"):
        given = [{"role": "user", "content": BOTH}, *(item.to_dict() for item in first.output), *given]
    second = sdk.responses.create(input=given, tools=TOOLS, **place)
    assert second.output_text == "pay returned pay done\nlook returned look done"
    if held == "conversation":
        kinds = [item.type for item in sdk.conversations.items.list(session, order="asc")]
        assert kinds == ["message", "function_call", "function_call", "function_call_output", "function_call_output", "message"]


def test_the_helper_for_streams(sdk: openai.OpenAI) -> None:
    with sdk.responses.stream(input=ASK, tools=TOOLS, model="gpt-4o-mini") as stream:
        events = list(stream)
        final = stream.get_final_response()
    [snapshot] = [event.snapshot for event in events if event.type == "response.function_call_arguments.delta"]
    assert json.loads(snapshot) == {"amount": 3}
    assert calls_of(final)[0].name == "pay"


def test_tools_that_nobody_can_run_are_left_out_beside_functions(sdk: openai.OpenAI) -> None:
    """Coding agents always name some."""
    search: Any = {"type": "web_search", "external_web_access": True}
    group: Any = {"type": "namespace", "name": "agents", "description": "Others.", "tools": [LOOK]}
    chosen: Any = {"type": "web_search"}
    told: Any = {"client_metadata": {"session_id": "one"}}
    response = sdk.responses.create(input=ASK, tools=[PAY, group, search], tool_choice="auto", extra_body=told)
    assert [call.name for call in calls_of(response)] == ["pay"]
    assert [tool.type for tool in response.tools] == ["function"]
    with pytest.raises(openai.BadRequestError, match="namespace, web_search"):
        sdk.responses.create(input=ASK, tools=[group, search])
    with pytest.raises(openai.BadRequestError, match="tool_choice"):
        sdk.responses.create(input=ASK, tools=[PAY, search], tool_choice=chosen)


def test_in_the_background(sdk: openai.OpenAI) -> None:
    first = ended(sdk, sdk.responses.create(input=ASK, tools=TOOLS, background=True).id)
    second = sdk.responses.create(input=outputs_of(first), previous_response_id=first.id, tools=TOOLS, background=True)
    assert ended(sdk, second.id).output_text == "pay returned pay done"
    given: list[Any] = list(sdk.responses.input_items.list(second.id))
    assert [(item.type, item.call_id, item.output) for item in given] == [
        ("function_call_output", calls_of(first)[0].call_id, "pay done")
    ]


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ("auto", []),
        ("none", []),
        ("required", ["look"]),
        ({"type": "function", "name": "pay"}, ["pay"]),
        ({"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "pay"}]}, ["pay"]),
    ],
)
def test_choices(sdk: openai.OpenAI, choice: Any, called: list[str]) -> None:
    response = sdk.responses.create(input="hello", tools=TOOLS, tool_choice=choice)
    assert [call.name for call in calls_of(response)] == called
    assert response.to_dict()["tool_choice"] == choice
    assert [tool.to_dict()["name"] for tool in response.tools] == ["pay", "look"]


def test_one_call_at_a_time(sdk: openai.OpenAI) -> None:
    response = sdk.responses.create(input=BOTH, tools=TOOLS, parallel_tool_calls=False)
    assert [call.name for call in calls_of(response)] == ["pay"]
    assert response.parallel_tool_calls is False


def test_pictures_of_a_tool(sdk: openai.OpenAI) -> None:
    first = sdk.responses.create(input=ASK, tools=TOOLS)
    picture = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    output: Any = {"type": "function_call_output", "call_id": calls_of(first)[0].call_id, "output": [picture]}
    second = sdk.responses.create(input=[output], tools=TOOLS, previous_response_id=first.id)
    assert second.status == "completed"
    told, shown = sdk.responses.input_items.list(second.id, order="asc").data
    assert (told.type, shown.type) == ("function_call_output", "message")
    assert shown.content[0].type == "input_image"  # type: ignore[union-attr,index]
