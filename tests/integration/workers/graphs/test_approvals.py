"""A person's approval, and any interrupt of a graph: open calls of a turn, answered by the next one."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Send, interrupt

from tests.chains import agents
from tests.integration.workers.graphs.conftest import Stage
from tests.support.wait import wait_until_async
from tests.support.worker_parts import says, taken_over
from turnstile.memory.calls import calls_of
from turnstile.turns.answers import encode_answers
from turnstile.turns.output import Item, call_name
from turnstile.turns.states import State
from turnstile.workers.attempt.report import Report

QUESTION = "call pay 1; call pay 2; call in_a_thread 3"


async def asked(stage: Stage, question: str = QUESTION, graph: Any = agents.asks_first, id: str = "a") -> list[Item]:
    """Run a turn that ends with open calls; return them."""
    assert (await stage.run(question, graph, id)).status == State.COMPLETED
    calls = list((await stage.store.status(id)).calls)
    assert calls
    return calls


async def answer(
    stage: Stage, answers: dict[str, Any], graph: Any = agents.asks_first, id: str = "b", question: str = ""
) -> Report:
    return await stage.run("", graph, id, answers=encode_answers(answers))


async def test_calls_wait_for_their_approvals(stage: Stage) -> None:
    calls = await asked(stage)
    assert [(call["type"], call["name"], call["arguments"]) for call in calls] == [
        ("mcp_approval_request", "pay", '{"what":"1"}'),
        ("mcp_approval_request", "pay", '{"what":"2"}'),
    ]
    assert agents.entries() == []
    assert await stage.history() == [("human", QUESTION), ("ai", "round 1. ")]
    assert await stage.store.client.exists("turnstile:steps:a")
    report = await answer(stage, {call_name(calls[0]): True, call_name(calls[1]): {"approve": False, "reason": "too much"}})
    assert report.status == State.COMPLETED
    assert sorted(agents.entries()) == ["paid 1 a:call-0-0", "threaded 3 a:call-0-2"]
    history = await stage.history()
    assert [kind for kind, _ in history] == ["human", "ai", "tool", "tool", "tool", "ai"]
    assert any("too much" in text for _, text in history)
    record = await stage.store.status("b")
    assert [item["type"] for item in record.output] == ["mcp_call", "mcp_call", "mcp_call", "message"]
    assert not await stage.store.client.exists("turnstile:steps:a")


async def test_a_call_is_edited_before_it_runs(stage: Stage) -> None:
    [call] = await asked(stage, "call pay 1")
    edited = {"type": "edit", "edited_action": {"name": "pay", "args": {"what": "5"}}}
    assert (await answer(stage, {call_name(call): edited})).status == State.COMPLETED
    assert agents.entries() == ["paid 5 a:call-0-0"]


async def test_each_payment_is_approved_by_itself(stage: Stage) -> None:
    [first] = await asked(stage, "call pay 1 | call pay 2")
    assert (await answer(stage, {call_name(first): True})).status == State.COMPLETED
    [second] = (await stage.store.status("b")).calls
    assert call_name(first) != call_name(second)
    assert agents.entries() == ["paid 1 a:call-0-0"]
    assert (await answer(stage, {call_name(second): False}, id="c")).status == State.COMPLETED
    assert agents.entries() == ["paid 1 a:call-0-0"]


async def test_an_approval_is_carried_out_once_though_its_worker_is_lost(stage: Stage, ledger: Path) -> None:
    graph = create_agent(
        agents.Scripted(), agents.TOOLS, middleware=[HumanInTheLoopMiddleware(interrupt_on={"pay": True, "slowly": True})]
    )
    calls = await asked(stage, "call pay 1; call slowly 2", graph)
    claim = await stage.ask("", "b", answers=encode_answers({call_name(call): True for call in calls}))
    running = asyncio.create_task(stage.attempt(claim, graph).run())
    await wait_until_async(says(lambda: len(agents.entries()) == 2), "both tools have begun")

    async def kept() -> bool:
        client: Any = stage.store.client
        found = await client.hgetall("turnstile:steps:a")
        return any(name.startswith(b"write\x1f") and b"paid 1" in value for name, value in found.items())

    await wait_until_async(kept, "the payment is kept")
    again = await taken_over(stage.store, claim)
    running.cancel()
    ledger.with_name("go").touch()
    assert (await stage.attempt(again, graph).run()).status == State.COMPLETED
    assert agents.entries().count("paid 1 a:call-0-0") == 1
    assert [kind for kind, _ in await stage.history()] == ["human", "ai", "tool", "tool", "ai"]


async def test_any_interrupt_is_a_call_that_is_answered_with_json(stage: Stage) -> None:
    [call] = await asked(stage, "hi", agents.asks_topic)
    assert (call["type"], call["name"], json.loads(call["arguments"])) == ("function_call", "interrupt", {"which": "topic"})
    assert (await answer(stage, {call_name(call): "tea"}, agents.asks_topic)).status == State.COMPLETED
    assert (await stage.store.status("b")).answer == "The topic is tea."
    assert await stage.history() == [("human", "hi"), ("ai", "The topic is tea.")]


async def test_steps_that_are_gone_are_told(stage: Stage) -> None:
    [call] = await asked(stage, "call pay 1")
    await stage.store.client.delete("turnstile:steps:a")
    assert (await answer(stage, {call_name(call): True})).status == State.FAILED
    assert (await stage.store.status("b")).code == "steps_unreadable"
    assert agents.entries() == []


@pytest.mark.parametrize("release", [True, False])
async def test_steps_go_with_the_hold(stage: Stage, release: bool) -> None:
    await asked(stage, "call pay 1")
    if release:
        await stage.store.release_session("foo")
    else:
        await stage.store.client.hset("turnstile:session:foo", "lease", 1)
        await stage.store.client.zadd("turnstile:due", {"foo": 1})
        await stage.store.sweep()
    assert not await stage.store.client.exists("turnstile:steps:a")
    assert (await stage.history())[-1] == ("tool", "No output was given.")
    assert (await stage.run("call in_a_thread 1", agents.asks_first, "c")).status == State.COMPLETED


async def test_steps_of_a_held_session_go_with_its_erasure(stage: Stage) -> None:
    [call] = await asked(stage, "call pay 1 | call pay 2")
    await answer(stage, {call_name(call): True})
    await stage.store.erase("foo")
    assert await stage.store.client.keys("turnstile:steps:*") == []


async def test_nobody_is_kept_waiting_by_a_worker_meanwhile(stage: Stage) -> None:
    await asked(stage, "call pay 1")
    await stage.store.submit("next", "foo", "hello")
    assert await stage.store.claim("next", "w", "n") == "stale"


async def test_a_question_beside_an_approval_is_refused_and_the_call_stays_open(stage: Stage) -> None:
    [call] = await asked(stage, "call pay 1")
    report = await stage.run("and now?", agents.asks_first, "b", answers=encode_answers({call_name(call): True}))
    assert report.status == State.FAILED
    assert (await stage.store.status("b")).code == "invalid_request"
    assert (await answer(stage, {call_name(call): True}, id="c")).status == State.COMPLETED
    assert agents.entries() == ["paid 1 a:call-0-0"]


def _asks(name: str, times: int = 1) -> Any:
    def node(_: MessagesState) -> dict[str, Any]:
        said = [interrupt({"who": name, "time": time}) for time in range(times)]
        return {"messages": [AIMessage(f"{name}: {' '.join(said)}. ", id=name)]}

    return node


async def test_interrupts_side_by_side_one_after_another_and_in_a_subgraph(stage: Stage) -> None:
    inner: Any = StateGraph(MessagesState)
    inner = inner.add_node("inner", _asks("inner")).add_edge(START, "inner").compile()
    graph: Any = StateGraph(MessagesState)
    graph = graph.add_node("x", _asks("x", 2)).add_node("y", _asks("y")).add_node("inside", inner)
    graph = graph.add_edge(START, "x").add_edge(START, "y").add_edge(["x", "y"], "inside").compile()
    calls = await asked(stage, "hi", graph)
    told = []
    for id in ("b", "c", "d"):
        told.append([json.loads(call["arguments"])["who"] for call in calls])
        assert (
            await answer(stage, {call_name(call): f"{id}{n}" for n, call in enumerate(calls)}, graph, id)
        ).status == State.COMPLETED
        calls = list((await stage.store.status(id)).calls)
    assert (told, calls) == ([["x", "y"], ["x"], ["inner"]], [])
    assert sorted(text for kind, text in await stage.history() if kind == "ai") == ["inner: d0. ", "x: b0 c0. ", "y: b1. "]


@pytest.mark.parametrize("broken", ["y", "last"])
async def test_answers_after_a_turn_that_failed_go_on_where_it_was(stage: Stage, broken: str) -> None:
    def node(name: str, asks: bool) -> Any:
        def work(_: MessagesState) -> dict[str, Any]:
            said = interrupt(name) if asks else "done"
            if name == broken and not agents.gate().exists():
                raise RuntimeError
            agents.note(name)
            return {"messages": [AIMessage(f"{name}: {said}. ", id=name)]}

        return work

    graph: Any = StateGraph(MessagesState)
    graph = graph.add_node("x", node("x", True)).add_node("y", node("y", True)).add_node("last", node("last", False))
    graph = graph.add_edge(START, "x").add_edge(START, "y").add_edge(["x", "y"], "last").compile()
    calls = await asked(stage, "hi", graph)
    answers = {call_name(call): "yes" for call in calls}
    assert (await answer(stage, answers, graph)).status == State.FAILED
    agents.gate().touch()
    assert (await answer(stage, answers, graph, "c")).status == State.COMPLETED
    # A step that ran beside one that failed may run again.
    assert set(agents.entries()) == {"last", "x", "y"}
    assert broken == "y" or len(agents.entries()) == 3
    assert sorted(text for kind, text in await stage.history() if kind == "ai") == ["last: done. ", "x: yes. ", "y: yes. "]


async def _fails_until_told(state: MessagesState) -> dict[str, Any]:
    if not agents.gate().exists():
        raise RuntimeError
    return {"messages": [AIMessage("over", id="over")]}


def _pays_after_asking(*, beside: bool) -> Any:
    """Make a graph whose model makes two calls: one tool asks before it pays, the other does not where it runs `beside`."""

    @tool
    async def pay_when_asked(what: str) -> str:
        """Ask a person, and pay."""
        interrupt("May I?")
        agents.note(f"paid {what}")
        return f"paid {what}"

    def calls(_: MessagesState) -> dict[str, Any]:
        names = ["pay_when_asked", *(["pay"] if beside else [])]
        made = [
            {"name": name, "args": {"what": f"{n}"}, "id": f"call-{n}", "type": "tool_call"} for n, name in enumerate(names)
        ]
        return {"messages": [AIMessage("", tool_calls=made, id="calls")]}

    def each(state: MessagesState) -> list[Send]:
        return [Send("tools", [call]) for call in calls_of(state["messages"][-1])]

    graph: Any = StateGraph(MessagesState)
    graph = graph.add_node("calls", calls).add_node("tools", ToolNode([pay_when_asked, agents.pay]))
    graph = graph.add_node("last", _fails_until_told).add_conditional_edges("calls", each, ["tools"])
    return graph.add_edge(START, "calls").add_edge("tools", "last").compile()


@pytest.mark.parametrize("answered", [True, False])
async def test_a_call_that_ran_beside_one_that_waits_is_never_told_as_unanswered(stage: Stage, answered: bool) -> None:
    graph = _pays_after_asking(beside=True)
    [call] = await asked(stage, "hi", graph)
    assert agents.entries() == ["paid 1 a:call-1"]
    if answered:
        agents.gate().touch()
        await answer(stage, {call_name(call): True}, graph)
        assert agents.entries() == ["paid 1 a:call-1", "paid 0"]
        assert (await stage.history())[2:] == [("tool", "paid 1"), ("tool", "paid 0"), ("ai", "over")]
    else:
        await stage.store.release_session("foo")
        assert (await stage.history())[2:] == [("tool", "paid 1"), ("tool", "No output was given.")]


async def test_a_call_that_ran_in_a_turn_that_failed_is_never_told_as_unanswered(stage: Stage) -> None:
    graph = _pays_after_asking(beside=False)
    [call] = await asked(stage, "hi", graph)
    assert (await answer(stage, {call_name(call): True}, graph)).status == State.FAILED
    assert agents.entries() == ["paid 0"]
    await stage.store.release_session("foo")
    assert (await stage.history())[2:] == [("tool", "paid 0")]


async def test_an_interrupt_after_answers_that_were_messages(stage: Stage) -> None:
    """A run that begins with a client's answers can ask a person, too, and again in the turns after."""

    def asks(state: MessagesState) -> dict[str, Any]:
        if not any(message.type == "tool" for message in state["messages"]):
            call = {"name": "theirs", "args": {}, "id": "call-of-the-client", "type": "tool_call"}
            return {"messages": [AIMessage("", tool_calls=[call], id="asks")]}
        return {"messages": [AIMessage(f"{interrupt('one')} {interrupt('two')}", id="asked")]}

    graph: Any = StateGraph(MessagesState)
    graph = graph.add_node("asks", asks).add_edge(START, "asks").compile()
    [call] = await asked(stage, "hi", graph)
    assert call["name"] == "theirs"
    for id, given in (("b", "sunny"), ("c", "x"), ("d", "y")):
        assert (await answer(stage, {call_name(call): given}, graph, id)).status == State.COMPLETED
        calls = (await stage.store.status(id)).calls
        call = calls[0] if calls else call
    assert not calls
    assert await stage.history() == [("human", "hi"), ("ai", ""), ("tool", "sunny"), ("ai", "x y")]
    assert await stage.store.client.keys("turnstile:steps:*") == []


async def test_other_answers_after_a_run_that_failed_are_stored_once(stage: Stage) -> None:
    def asks(state: MessagesState) -> dict[str, Any]:
        if not any(message.type == "tool" for message in state["messages"]):
            call = {"name": "theirs", "args": {}, "id": "call-of-the-client", "type": "tool_call"}
            return {"messages": [AIMessage("", tool_calls=[call], id="asks")]}
        if not agents.gate().exists():
            raise RuntimeError
        return {"messages": [AIMessage("I see.", id="asked")]}

    graph: Any = StateGraph(MessagesState)
    graph = graph.add_node("asks", asks).add_edge(START, "asks").compile()
    [call] = await asked(stage, "hi", graph)
    assert (await answer(stage, {call_name(call): "sunny"}, graph)).status == State.FAILED
    agents.gate().touch()
    assert (await answer(stage, {call_name(call): "rainy"}, graph, "c")).status == State.COMPLETED
    assert await stage.history() == [("human", "hi"), ("ai", ""), ("tool", "rainy"), ("ai", "I see.")]


async def test_a_call_stays_closed_in_the_history_however_often_its_tool_asked(stage: Stage) -> None:
    @tool
    async def ask_twice(what: str) -> str:
        """Ask a person two times."""
        return f"{interrupt('one')} {interrupt('two')}"

    def calls(_: MessagesState) -> dict[str, Any]:
        return {
            "messages": [AIMessage("", tool_calls=[{"name": "ask_twice", "args": {"what": "x"}, "id": "call-0"}], id="calls")]
        }

    graph: Any = StateGraph(MessagesState)
    graph = graph.add_node("calls", calls).add_node("tools", ToolNode([ask_twice]))
    graph = graph.add_edge(START, "calls").add_edge("calls", "tools").compile()
    [call] = await asked(stage, "hi", graph)
    assert (await answer(stage, {call_name(call): "x"}, graph)).status == State.COMPLETED
    assert (await stage.store.status("b")).calls
    await stage.store.release_session("foo")
    assert await stage.history() == [("human", "hi"), ("ai", ""), ("tool", "No output was given.")]
