"""Turns of graphs: what they answer, what they add to the history, what they tell meanwhile, and what stops them."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelCallLimitMiddleware, PIIMiddleware, SummarizationMiddleware
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage, RemoveMessage
from langchain_core.runnables import RunnableConfig
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, Send
from pydantic import BaseModel

from tests.chains import agents
from tests.integration.workers.graphs.conftest import Stage
from tests.support.wait import wait_until_async
from tests.support.worker_parts import claimed, make_due, says, taken_over
from turnstile.turns.errors import SettingError
from turnstile.turns.states import State
from turnstile.turns.turn import Record
from turnstile.workers.attempt.report import LOST, REQUEUED
from turnstile.workers.chains.graphs.graph import GraphChain
from turnstile.workers.offline.server import OfflineModel


async def failed(stage: Stage, question: str, graph: Any = agents.agent, **options: Any) -> Record:
    """Run a turn that fails; nothing of it is in the history, and the session goes on."""
    assert (await stage.run(question, graph, **options)).status == State.FAILED
    assert await stage.history() == []
    assert (await stage.run("hello", agents.agent, id="next")).status == State.COMPLETED
    assert await stage.history() == [("human", "hello"), ("ai", "done: ")]
    return await stage.store.status("a")


async def test_what_a_graph_adds_is_one_transcript(stage: Stage) -> None:
    assert (await stage.run("call pay 1; call in_a_thread 2 | call pay 3", agents.agent)).status == State.COMPLETED
    assert [kind for kind, _ in await stage.history()] == ["human", "ai", "tool", "tool", "ai", "tool", "ai"]
    record = await stage.store.status("a")
    assert [item["type"] for item in record.output] == ["message", "mcp_call", "mcp_call", "message", "mcp_call", "message"]
    assert record.output[1] == {
        "type": "mcp_call",
        "id": "call-0-0",
        "name": "pay",
        "arguments": '{"what":"1"}',
        "output": "paid 1",
    }
    assert record.answer == await stage.texts() == "round 1. round 2. done: paid 1, threaded 2, paid 3"
    assert record.usage == {"input_tokens": 30, "output_tokens": 15, "total_tokens": 45}
    assert sorted(agents.entries()) == ["paid 1 a:call-0-0", "paid 3 a:call-1-0", "threaded 2 a:call-0-1"]
    assert not await stage.store.client.exists(stage.store.keys.steps("a"))


async def test_the_next_turn_is_given_the_history(stage: Stage) -> None:
    await stage.run("call pay 1", agents.agent)
    await stage.run("call pay 2", agents.agent, id="b")
    assert [text for _, text in await stage.history()][4:] == ["call pay 2", "round 1. ", "paid 2", "done: paid 2"]
    assert (await stage.store.status("b")).answer == "round 1. done: paid 2"


async def test_steps_are_told_as_they_begin_and_end(stage: Stage) -> None:
    await stage.run("call pay secret", agents.agent)
    steps = [(step["name"], step["status"]) for step in await stage.steps()]
    assert steps == [(name, status) for name in ("model", "pay", "model") for status in ("started", "done")]
    await stage.run("call pay 1", agents.agent, id="b", stream=False)
    assert await stage.steps("b") == []


async def test_another_attempt_goes_on_from_the_step(stage: Stage, ledger: Path) -> None:
    claim = await stage.ask("call pay 1; call slowly 2")
    first = stage.attempt(claim, agents.agent)
    running = asyncio.create_task(first.run())
    await wait_until_async(says(lambda: len(agents.entries()) == 2), "both tools have begun")
    await wait_until_async(says(lambda: stage.store.calls.count("put_writes") >= 3), "the payment is kept")
    again = await taken_over(stage.store, claim)
    ledger.with_name("go").touch()
    assert (await running).status == LOST
    assert (await stage.attempt(again, agents.agent).run()).status == State.COMPLETED
    assert sorted(agents.entries()) == sorted(
        ["paid 1 a:call-0-0", "begun 2 a:call-0-1", "ended 2", "begun 2 a:call-0-1", "ended 2"]
    )
    assert [kind for kind, _ in await stage.history()] == ["human", "ai", "tool", "tool", "ai"]
    second = [event.data for event in await stage.store.events("a") if event.type == "text" and event.attempt == 2]
    assert "".join(second) == "round 1. done: paid 1, ended 2"


async def test_an_attempt_that_has_lost_its_turn_makes_no_more_calls(stage: Stage, ledger: Path) -> None:
    claim = await stage.ask("call slowly 1 | call pay 2")
    running = asyncio.create_task(stage.attempt(claim, agents.agent).run())
    await wait_until_async(says(lambda: bool(agents.entries())), "the tool has begun")
    await taken_over(stage.store, claim)
    ledger.with_name("go").touch()
    assert (await running).status == LOST
    assert agents.entries() == ["begun 1 a:call-0-0", "ended 1"]


def _call(tool: str, what: str) -> dict[str, Any]:
    return {"type": "tool_call", "name": tool, "args": {"what": what}, "id": f"{tool}-{what}"}


async def _insists(state: MessagesState, config: RunnableConfig) -> dict[str, Any]:
    """Wait for the gate, then try a payment again and again."""
    await agents.slowly.ainvoke(_call("slowly", "1"), config)
    for _ in range(3):
        with suppress(Exception):
            await agents.pay.ainvoke(_call("pay", "2"), config)
    return {"messages": [AIMessage("paid")]}


def _insists_in_a_thread(state: MessagesState, config: RunnableConfig) -> dict[str, Any]:
    agents.note("begun 1 a:slowly-1")
    for _ in iter(agents.gate().exists, True):
        time.sleep(0.02)
    for _ in range(3):
        with suppress(Exception):
            agents.in_a_thread.invoke(_call("in_a_thread", "2"), config)
    agents.note("over")
    return {"messages": [AIMessage("threaded")]}


@pytest.mark.parametrize("node", [_insists, _insists_in_a_thread])
async def test_a_node_that_catches_everything_makes_no_call_for_a_lost_turn(stage: Stage, ledger: Path, node: Any) -> None:
    graph: Any = StateGraph(MessagesState)
    graph = graph.add_node("node", node).add_edge(START, "node").compile()
    claim = await stage.ask("hi")
    running = asyncio.create_task(stage.attempt(claim, graph).run())
    await wait_until_async(says(lambda: "begun 1 a:slowly-1" in agents.entries()), "the node waits")
    await taken_over(stage.store, claim)
    ledger.with_name("go").touch()
    assert (await running).status == LOST
    if node is _insists_in_a_thread:
        await wait_until_async(says(lambda: "over" in agents.entries()), "the thread has ended")
    assert not [entry for entry in agents.entries() if entry.startswith(("paid", "threaded"))]


async def test_a_drained_graph_stops_between_steps_and_goes_on_elsewhere(stage: Stage, ledger: Path) -> None:
    claim = await stage.ask("call slowly 1 | call pay 2")
    attempt = stage.attempt(claim, agents.agent)
    running = asyncio.create_task(attempt.run())
    await wait_until_async(says(lambda: bool(agents.entries())), "the tool has begun")
    attempt.drain()
    ledger.with_name("go").touch()
    assert (await running).status == REQUEUED
    assert agents.entries() == ["begun 1 a:call-0-0", "ended 1"]
    await make_due(stage.store, "foo")
    await stage.store.sweep()
    assert (await stage.attempt(await claimed(stage.store, "a"), agents.agent).run()).status == State.COMPLETED
    assert agents.entries()[2:] == ["paid 2 a:call-1-0"]
    assert (await stage.store.status("a")).answer == "round 1. round 2. done: ended 1, paid 2"


async def test_a_graph_without_messages_is_no_chain() -> None:
    with pytest.raises(SettingError, match="no `messages`"):
        GraphChain("TURNSTILE_CHAIN", agents.wordless)


async def test_a_checkpointer_of_its_own_is_told_of_and_not_used(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    own = InMemorySaver()
    await stage.run("call pay 1", agents.agent.copy(update={"checkpointer": own}))
    assert not own.storage
    assert "checkpointer of its own" in caplog.text


@pytest.mark.parametrize(
    ("question", "code", "said"),
    [
        ("call fail 1", "chain_error", "RuntimeError"),
        ("call much 1", "step_not_storable", "16,777,216"),
        ("call strange 1", "step_not_storable", "ToolMessage"),
    ],
)
async def test_a_tool_that_goes_wrong_fails_its_turn(stage: Stage, question: str, code: str, said: str) -> None:
    record = await failed(stage, question)
    assert record.code == code
    assert said in str(record.message)
    assert "secret" not in str(record.message)


@pytest.mark.parametrize("tool", ["hang", "hang_in_a_thread"])
async def test_a_tool_that_hangs_ends_with_the_deadline(stage: Stage, tool: str) -> None:
    record = await failed(stage, f"call {tool} 1", deadline_seconds=0.5)
    assert record.code == "deadline_exceeded"


ENDLESS = " | ".join(["call pay 1"] * 40)


@pytest.mark.parametrize(
    ("limits", "paid", "said"),
    [
        ({"max_model_calls": 3}, 3, "TURNSTILE_MAX_MODEL_CALLS"),
        ({"max_turn_tokens": 40}, 3, "TURNSTILE_MAX_TURN_TOKENS"),
        ({"max_steps": 6}, 3, "TURNSTILE_MAX_STEPS"),
    ],
)
async def test_a_graph_without_end_is_stopped(stage: Stage, limits: dict[str, int], paid: int, said: str) -> None:
    stage.store.settings = stage.store.settings.model_copy(update=limits)
    record = await failed(stage, ENDLESS)
    assert record.code == "limit_reached"
    assert said in str(record.message)
    assert len(agents.entries()) == paid


@pytest.mark.parametrize("limits", [{"max_model_calls": 3}, {"max_turn_tokens": 40}, {"max_steps": 6}])
async def test_limits_are_of_the_turn_not_of_each_attempt(stage: Stage, ledger: Path, limits: dict[str, int]) -> None:
    stage.store.settings = stage.store.settings.model_copy(update=limits)
    claim = await stage.ask("call pay 1 | call slowly 2 | call pay 3 | call pay 4")
    running = asyncio.create_task(stage.attempt(claim, agents.agent).run())
    await wait_until_async(says(lambda: "begun 2 a:call-1-0" in agents.entries()), "the second tool has begun")
    again = await taken_over(stage.store, claim)
    running.cancel()
    ledger.with_name("go").touch()
    assert (await stage.attempt(again, agents.agent).run()).status == State.FAILED
    assert (await stage.store.status("a")).code == "limit_reached"
    assert [entry for entry in agents.entries() if entry.startswith("paid")] == ["paid 1 a:call-0-0", "paid 3 a:call-2-0"]
    await stage.store.retry("a")
    assert (await stage.attempt(await claimed(stage.store, "a"), agents.agent).run()).status == State.COMPLETED
    assert agents.entries()[-1] == "paid 4 a:call-3-0"


def _thought(times: int) -> bool:
    return agents.entries() == ["thought"] * times


async def test_calls_of_attempts_that_came_to_nothing_count(stage: Stage) -> None:
    """A question that ends its worker in the middle of a step must not call models for ever."""
    stage.store.settings = stage.store.settings.model_copy(update={"max_model_calls": 2})

    async def thinks(_: MessagesState) -> dict[str, Any]:
        await agents.Scripted().ainvoke("hi")
        agents.note("thought")
        await asyncio.Event().wait()
        return {}

    graph: Any = StateGraph(MessagesState)
    graph = graph.add_node("thinks", thinks).add_edge(START, "thinks").compile()
    claim = await stage.ask("hi")
    for times in (1, 2):
        running = asyncio.create_task(stage.attempt(claim, graph).run())
        await wait_until_async(says(partial(_thought, times)), "the model has answered")
        claim = await taken_over(stage.store, claim)
        running.cancel()
    assert (await stage.attempt(claim, graph).run()).status == State.FAILED
    assert (await stage.store.status("a")).code == "limit_reached"


async def test_damaged_steps_fail_the_turn_and_a_retry_begins_anew(stage: Stage) -> None:
    claim = await stage.ask("call pay 1 | call hang 2")
    running = asyncio.create_task(stage.attempt(claim, agents.agent).run())
    await wait_until_async(says(lambda: "hangs 2" in agents.entries()), "the second tool hangs")
    again = await taken_over(stage.store, claim)
    running.cancel()
    client: Any = stage.store.client
    for field in await client.hkeys("turnstile:steps:a"):
        await client.hset("turnstile:steps:a", field, b"\0damaged")
    assert (await stage.attempt(again, agents.agent).run()).status == State.FAILED
    assert (await stage.store.status("a")).code == "steps_unreadable"
    assert not await client.exists("turnstile:steps:a")
    assert (await stage.run("hello", agents.agent, id="b")).status == State.COMPLETED


async def test_steps_of_an_older_version_of_the_graph_fail_the_turn(stage: Stage) -> None:
    claim = await stage.ask("call hang 2")
    running = asyncio.create_task(stage.attempt(claim, agents.agent).run())
    await wait_until_async(says(lambda: "hangs 2" in agents.entries()), "the tool hangs")
    again = await taken_over(stage.store, claim)
    running.cancel()
    assert (await stage.attempt(again, create_agent(agents.Scripted(), [])).run()).status == State.FAILED
    assert (await stage.store.status("a")).code == "steps_unreadable"


async def test_tools_of_a_client_are_refused_by_name(stage: Stage) -> None:
    tool = {"type": "function", "function": {"name": "x", "parameters": {"type": "object"}}}
    record = await failed(stage, "hi", tools=[tool])
    assert record.code == "invalid_request"
    assert "`tools`" in str(record.message)


async def test_middlewares_work_unchanged(stage: Stage) -> None:
    limited = create_agent(
        agents.Scripted(), agents.TOOLS, middleware=[ModelCallLimitMiddleware(run_limit=2, exit_behavior="end")]
    )
    assert (await stage.run(ENDLESS, limited)).status == State.COMPLETED
    assert len(agents.entries()) == 2


async def test_a_summary_is_nobodys_words(stage: Stage) -> None:
    for number in range(3):
        await stage.run(f"hello {number}", agents.agent, id=f"before-{number}")
    summing = create_agent(
        agents.Scripted(),
        agents.TOOLS,
        middleware=[SummarizationMiddleware(agents.Scripted(), trigger=("messages", 5), keep=("messages", 2))],
    )
    assert (await stage.run("call pay 1", summing)).status == State.COMPLETED
    added = (await stage.history())[6:]
    assert [kind for kind, _ in added] == ["human", "ai", "tool", "ai"]
    assert added[0] == ("human", "call pay 1")
    assert await stage.texts() == (await stage.store.status("a")).answer


class Answer(BaseModel):
    """A structured answer."""

    word: str


@dataclass
class Other:
    """Another structured answer."""

    number: int


async def test_a_structured_answer_is_the_text(stage: Stage) -> None:
    def say(_: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage("")], "structured_response": Answer(word="yes")}

    class Structured(MessagesState):
        structured_response: Answer

    graph: Any = StateGraph(Structured)
    await stage.run("hi", graph.add_node("say", say).add_edge(START, "say").add_edge("say", END).compile())
    assert (await stage.store.status("a")).answer == '{"word":"yes"}'


@pytest.mark.parametrize("form", [ToolStrategy(Answer), ToolStrategy(Answer | Other), ProviderStrategy(Answer), Answer])
async def test_an_agents_structured_answer_is_kept_and_told(stage: Stage, form: Any) -> None:
    async with OfflineModel() as model:
        asks = ChatOpenAI(base_url=model.base_url, api_key="none", model="m", max_retries=0)
        question = 'call pay {"what": "1"}' + (
            "" if isinstance(form, ProviderStrategy) else '\nthen call Answer {"word": "yes"}'
        )
        assert (await stage.run(question, create_agent(asks, [agents.pay], response_format=form))).status == State.COMPLETED
    record = await stage.store.status("a")
    assert Answer.model_validate_json(str(record.answer)).word
    assert len(agents.entries()) == 1


async def test_a_question_is_stored_as_a_middleware_leaves_it(stage: Stage) -> None:
    private = create_agent(agents.Scripted(), agents.TOOLS, middleware=[PIIMiddleware("email", strategy="redact")])
    assert (await stage.run("I am bob@example.com", private, name="bob")).status == State.COMPLETED
    assert (await stage.history())[0] == ("human", "I am [REDACTED_EMAIL]")


async def test_subgraphs_and_sends_are_kept(stage: Stage) -> None:
    def fan(_: MessagesState) -> Command[Any]:
        return Command(goto=[Send("part", {"messages": [], "n": n}) for n in range(3)])

    def part(state: dict[str, Any]) -> dict[str, Any]:
        agents.note(f"part {state['n']}")
        return {"messages": [AIMessage(f"part {state['n']}. ", id=f"p{state['n']}")]}

    inner: Any = StateGraph(MessagesState)
    inner = inner.add_node("in", lambda _: {"messages": [AIMessage("inner.", id="in")]})
    graph: Any = StateGraph(MessagesState)
    graph = (
        graph.add_node("fan", fan)
        .add_node("part", part)
        .add_node("inner", inner.add_edge(START, "in").compile())
        .add_edge(START, "fan")
        .add_edge("part", "inner")
        .compile()
    )
    assert (await stage.run("hi", graph)).status == State.COMPLETED
    assert (await stage.store.status("a")).answer == "part 0. part 1. part 2. inner."


async def test_what_a_graph_takes_out_again_is_not_added(stage: Stage) -> None:
    def first(_: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage("a draft", id="draft")]}

    def second(_: MessagesState) -> dict[str, Any]:
        return {"messages": [RemoveMessage(id="draft"), AIMessage("final", id="final")]}

    graph: Any = StateGraph(MessagesState)
    graph = graph.add_node("first", first).add_node("second", second)
    graph = graph.add_edge(START, "first").add_edge("first", "second").add_edge("second", END)
    await stage.run("hi", graph.compile())
    assert await stage.history() == [("human", "hi"), ("ai", "final")]
