"""Agents behind the gateway: calls that a worker runs, approvals that a person gives, and a worker that dies on the way."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.integration.gateway.test_tools import ASK, TOOLS, calls_of, events_of, outputs_of
from tests.support.gateways import Gateway, ended, read_events
from tests.support.processes import Worker, offline_model
from tests.support.wait import wait_until

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
NAMES = {"agent": "agent", "asks-first": "asks_first", "topic": "asks_topic"}
CHAINS = json.dumps({name: f"tests.chains.agents:{graph}" for name, graph in NAMES.items()})


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


@pytest.fixture
def gateway(redis_url: str, tmp_path: Path) -> Iterator[Gateway]:
    with Gateway(redis_url, tmp_path) as running:
        yield running


@pytest.fixture
def worker(redis_url: str, tmp_path: Path, ledger: Path) -> Iterator[Worker]:
    """Yield a worker with agents, and with tools of its own."""
    more = {"TURNSTILE_LEASE_SECONDS": "2", "LEDGER": str(ledger), "HOLD": str(tmp_path / "hold")}
    more |= {"TURNSTILE_CHAINS": CHAINS, "TURNSTILE_TOOLS": "tests.chains.worker_tools:add"}
    with Worker(redis_url, tmp_path, 20, **more) as running:
        yield running


@pytest.fixture
def sdk(gateway: Gateway, worker: Worker) -> Iterator[openai.OpenAI]:
    with gateway.sdk() as client:
        yield client


def types_of(response: Response) -> list[str]:
    """Return the types of a response's items."""
    return [item.type for item in response.output]


def approval_of(response: Response, approve: bool, **more: Any) -> list[Any]:
    """Return a decision about each call of a response that waits for one."""
    asked = [item for item in response.output if item.type == "mcp_approval_request"]
    return [{"type": "mcp_approval_response", "approval_request_id": one.id, "approve": approve, **more} for one in asked]


def check_stream(gateway: Gateway, response: Response) -> list[dict[str, Any]]:
    """Return the stream of a response, whose events all fit, and whose last ones are its output."""
    with gateway.http() as http:
        events = events_of(http, response.id)
    for event in events:
        EVENT.validate_python(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert done == events[-1]["response"]["output"] == response.to_dict()["output"]
    return events


def check_resumes(gateway: Gateway, id: str, seen: list[dict[str, Any]]) -> None:
    """Assert that the stream of a response tells these events again, and goes on after each of them, both ways."""
    url, params = f"/v1/responses/{id}", {"stream": "true"}
    with gateway.http() as http:
        assert events_of(http, id) == seen
        for place, event in enumerate(seen):
            number = event["sequence_number"]
            with http.stream("GET", url, params={**params, "starting_after": number}) as answer:
                assert list(read_events(answer.iter_lines())) == seen[place + 1 :]
            with http.stream("GET", url, params=params, headers={"last-event-id": str(number)}) as answer:
                assert answer.status_code == (200 if seen[place + 1 :] else 204)
                assert list(read_events(answer.iter_lines())) == seen[place + 1 :]


def told_alike(item: Any) -> dict[str, Any]:
    """Return an item without its id, in which a conversation tells the place of a message, too."""
    return {name: value for name, value in item.to_dict().items() if name != "id"}


def test_a_conversation_shows_calls_as_responses_do(sdk: openai.OpenAI) -> None:
    first: Any = sdk.responses.create(
        model="agent", input="call pay 1 | call in_a_thread 2; call pay 3 | end", conversation="foo"
    )
    both: Any = sdk.responses.create(input='call add {"a": 1, "b": 2}\ncall pay {"amount": 3}', tools=TOOLS, conversation="foo")
    sdk.responses.create(input=outputs_of(both), conversation="foo", tools=TOOLS)
    for order in ("asc", "desc"):
        for limit in (1, 4, 100):
            items: Any = list(sdk.conversations.items.list("foo", order=order, limit=limit))
            items = items if order == "asc" else items[::-1]
            assert [item.type for item in items] == [
                *("message", "message", "mcp_call", "message", "mcp_call", "mcp_call", "message"),
                *("message", "function_call", "mcp_call", "function_call_output", "message"),
            ]
    run = [item for item in items if item.type == "mcp_call"]
    shown = [*first.output[1:], both.output[0]]
    assert [told_alike(item) for item in run] == [told_alike(item) for item in shown]
    for one, other in zip(run, shown, strict=True):
        assert sdk.conversations.items.retrieve(one.id, conversation_id="foo") == one
        assert sdk.conversations.items.retrieve(other.id, conversation_id="foo") == one
    reference: Any = {"type": "item_reference", "id": shown[0].id}
    again = sdk.responses.create(input=[reference, {"role": "user", "content": "hello"}])
    assert again.output_text == "You said: hello"


def test_calls_of_a_worker_are_shown_as_run(sdk: openai.OpenAI, gateway: Gateway) -> None:
    first: Any = sdk.responses.create(model="agent", input="call pay 1 | call in_a_thread 2; call pay 3 | end")
    assert types_of(first) == ["message", "mcp_call", "mcp_call", "mcp_call"]
    assert first.output_text == "round 1. round 2. done: paid 1, threaded 2, paid 3"
    assert [(item.name, item.output, item.status) for item in first.output[1:]] == [
        ("pay", "paid 1", "completed"), ("in_a_thread", "threaded 2", "completed"), ("pay", "paid 3", "completed")
    ]  # fmt: skip
    events = check_stream(gateway, first)
    told = [event["type"].removeprefix("response.mcp_call") for event in events if ".mcp_call" in event["type"]]
    assert told == [".in_progress", "_arguments.delta", "_arguments.done", ".completed"] * 3
    replayed: Any = [{"role": "user", "content": "pay"}, *(item.to_dict() for item in first.output)]
    second = sdk.responses.create(input=[*replayed, {"role": "user", "content": "Hi! I'm bob"}])
    assert second.output_text == "Hello Bob! How can I help you today?"
    given = [item.type for item in sdk.responses.input_items.list(second.id, order="asc")]
    assert given == ["message", "message", *["function_call", "function_call_output"] * 3, "message"]


def test_a_reader_may_have_the_steps_too(sdk: openai.OpenAI, gateway: Gateway) -> None:
    response = sdk.responses.create(model="agent", input="call pay 1 | call in_a_thread 2 | end")

    def events(**params: Any) -> list[dict[str, Any]]:
        url = f"/v1/responses/{response.id}"
        with gateway.http() as http, http.stream("GET", url, params={"stream": True, **params}) as answer:
            return list(read_events(answer.iter_lines()))

    def steps_of(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [event for event in events if event["type"] == "turnstile.step"]

    told = events(steps=True)
    steps = steps_of(told)
    assert [event for event in told if event not in steps] == events()
    assert [(step["name"], step["status"]) for step in steps if step["name"] in ("pay", "in_a_thread")] == [
        ("pay", "started"), ("pay", "done"), ("in_a_thread", "started"), ("in_a_thread", "done")
    ]  # fmt: skip
    assert all(set(step) == {"type", "sequence_number", "number", "attempt", "name", "status"} for step in steps)
    numbers = [step["number"] for step in steps]
    assert numbers == sorted(set(numbers))
    for after in range(told[-1]["sequence_number"]):
        left = [
            event
            for event in told
            if event["sequence_number"] > after or (event in steps and event["sequence_number"] == after)
        ]
        assert events(steps=True, starting_after=after) == left


def test_a_workers_and_a_clients_tools_in_one_answer(sdk: openai.OpenAI, gateway: Gateway) -> None:
    first: Any = sdk.responses.create(input='call add {"a": 1, "b": 2}\ncall pay {"amount": 3}', tools=TOOLS)
    assert types_of(first) == ["mcp_call", "function_call"]
    assert first.output[0].output == "3"
    check_stream(gateway, first)
    second = sdk.responses.create(input=outputs_of(first), previous_response_id=first.id, tools=TOOLS)
    assert second.output_text == "add returned 3\npay returned pay done"


@pytest.mark.parametrize("place", ["previous", "conversation"])
def test_an_approval(sdk: openai.OpenAI, gateway: Gateway, ledger: Path, place: str) -> None:
    first = sdk.responses.create(model="asks-first", input="call pay 1; call pay 2 | end", conversation="foo")
    assert types_of(first) == ["message", "mcp_approval_request", "mcp_approval_request"]
    check_stream(gateway, first)
    waiting: Any = [item for item in sdk.conversations.items.list("foo", order="asc") if item.type != "message"]
    assert [(item.type, item.name, item.status) for item in waiting] == [("mcp_call", "pay", "in_progress")] * 2
    where: Any = {"previous_response_id": first.id} if place == "previous" else {"conversation": "foo"}
    approved, refused = approval_of(first, approve=True)
    refused |= {"approve": False, "reason": "too much"}
    with pytest.raises(openai.BadRequestError, match="No tool output found for function call mcpr_"):
        sdk.responses.create(input=[approved], **where)
    second: Any = sdk.responses.create(input=[approved, refused], **where)
    assert types_of(second) == ["message", "mcp_call", "mcp_call"]
    assert "too much" in str(second.output[2].error or second.output[2].output)
    assert ledger.read_text().count("paid") == 1
    kept: Any = [item for item in sdk.conversations.items.list("foo", order="asc") if item.type != "message"]
    kept.sort(key=lambda item: item.arguments)  # a refusal comes before what is run
    assert [told_alike(item) for item in kept] == [told_alike(item) for item in second.output[1:]]
    given: Any = sdk.responses.input_items.list(second.id, order="asc").data
    assert sorted((item.type, item.approve, item.reason) for item in given) == [
        ("mcp_approval_response", False, "too much"), ("mcp_approval_response", True, None)
    ]  # fmt: skip
    assert sdk.responses.create(input=[approved, refused], **where).id == second.id
    assert ledger.read_text().count("paid") == 1


def test_any_interrupt_is_a_call(sdk: openai.OpenAI) -> None:
    first = sdk.responses.create(model="topic", input="Ask me", conversation="foo")
    [call] = calls_of(first)
    assert (call.name, call.arguments) == ("interrupt", '{"which":"topic"}')
    answer: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "tea"}
    assert sdk.responses.create(input=[answer], conversation="foo").output_text == "The topic is tea."


def test_a_clients_tools_are_refused_by_an_agent(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="`tools`"):
        sdk.responses.create(model="agent", input="call pay 1", tools=TOOLS)


def test_a_worker_dies_in_the_middle_of_an_answer_with_calls(
    redis_url: str, gateway: Gateway, tmp_path: Path, ledger: Path
) -> None:
    options = {"TURNSTILE_LEASE_SECONDS": "2", "TURNSTILE_CHAINS": CHAINS, "LEDGER": str(ledger)}
    with Worker(redis_url, tmp_path, 20, **options) as worker, gateway.sdk() as sdk:
        asked = sdk.responses.create(model="agent", input="call pay 1 | call slowly 2 | end", background=True)
        wait_until(lambda: ledger.exists() and "begun 2" in ledger.read_text(), "the second call has begun")
        live = iter(sdk.responses.retrieve(asked.id, stream=True))
        seen: list[Any] = [next(live).to_dict() for _ in range(6)]
        worker.kill()
        (tmp_path / "go").touch()
        worker.start()
        seen += [event.to_dict() for event in live]
        response = ended(sdk, asked.id)
    for event in seen:
        EVENT.validate_python(event)
    assert [event["sequence_number"] for event in seen] == list(range(len(seen)))
    added = [event for event in seen if event["type"] == "response.output_item.added"]
    assert [event["output_index"] for event in added] == list(range(len(added)))
    assert [event["item"]["type"] for event in added] == ["message", "message", "mcp_call", "mcp_call"]
    done = [event["item"] for event in seen if event["type"] == "response.output_item.done"]
    assert (done[0]["status"], done[1:]) == ("incomplete", response.to_dict()["output"])
    assert response.output_text == "round 1. round 2. done: paid 1, ended 2"
    assert ledger.read_text().count("paid 1") == 1
    check_resumes(gateway, asked.id, seen)


def test_a_worker_dies_on_the_way_from_an_approval(
    sdk: openai.OpenAI, gateway: Gateway, worker: Worker, tmp_path: Path, ledger: Path
) -> None:
    first = sdk.responses.create(model="asks-first", input="call pay 1; call slowly 2 | end", conversation="foo")
    asked = check_stream(gateway, first)
    check_resumes(gateway, first.id, asked)
    [approved] = approval_of(first, approve=True)
    second = sdk.responses.create(input=[approved], previous_response_id=first.id, background=True)
    wait_until(lambda: ledger.exists() and "begun 2" in ledger.read_text(), "the second call has begun")
    live = iter(sdk.responses.retrieve(second.id, stream=True))
    seen: list[Any] = [next(live).to_dict() for _ in range(3)]
    worker.kill()
    (tmp_path / "go").touch()
    worker.start()
    seen += [event.to_dict() for event in live]
    response = ended(sdk, second.id)
    assert check_stream(gateway, response) == seen
    assert [item.type for item in response.output][-2:] == ["mcp_call", "mcp_call"]
    check_resumes(gateway, second.id, seen)
    kept: Any = [item for item in sdk.conversations.items.list("foo", order="asc") if item.type == "mcp_call"]
    assert [told_alike(item) for item in kept] == [told_alike(item) for item in response.output[-2:]]


def test_a_worker_dies_before_it_calls_a_clients_tool(redis_url: str, gateway: Gateway, tmp_path: Path) -> None:
    with (
        offline_model("--tokens-per-second", "8") as model,
        Worker(redis_url, tmp_path, TURNSTILE_LEASE_SECONDS="2", OPENAI_BASE_URL=model) as worker,
        gateway.sdk() as sdk,
    ):
        stream = sdk.responses.create(input=f"{ASK} [[think]]", tools=TOOLS, background=True, stream=True)
        seen: list[Any] = []
        for event in stream:
            seen.append(event)
            if event.type == "response.reasoning_summary_text.delta":
                worker.kill()
                worker.start()
                break
        seen += list(stream)
    assert [event.sequence_number for event in seen] == list(range(len(seen)))
    added = [event for event in seen if event.type == "response.output_item.added"]
    assert [event.item.type for event in added] == ["reasoning", "reasoning", "function_call"]
    assert [event.output_index for event in added] == [0, 1, 2]
    done = [event.item for event in seen if event.type == "response.output_item.done"]
    assert (done[0].status, done[1:]) == ("incomplete", seen[-1].response.output)
    check_resumes(gateway, seen[0].response.id, [event.to_dict() for event in seen])
