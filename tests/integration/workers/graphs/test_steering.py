"""Graphs that take further questions between two steps: one turn in the end, whatever dies in between."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.chains.agents import agent, asks_first, entries, inside_another, older
from tests.integration.workers.graphs.conftest import Stage
from tests.support.wait import wait_until_async
from tests.support.worker_parts import claimed, says, taken_over
from turnstile.turns.errors import TurnFailed
from turnstile.turns.output import call_name
from turnstile.turns.policies import INTERRUPTED
from turnstile.turns.question import Options
from turnstile.turns.states import State
from turnstile.workers.attempt.attempt import Attempt

Told = list[tuple[str, str]]


async def amid(stage: Stage, question: str, graph: Any = agent, **options: Any) -> tuple[Attempt, asyncio.Task[Any]]:
    """Return an attempt at turn `a` whose tool has begun."""
    attempt = stage.attempt(await stage.ask(question, **options), graph)
    return attempt, await _until_a_tool_begins(attempt)


async def _until_a_tool_begins(attempt: Attempt) -> "asyncio.Task[Any]":
    before = len(entries())
    task = asyncio.create_task(attempt.run())
    await wait_until_async(says(lambda: len(entries()) > before), "the tool has begun")
    return task


async def steer(stage: Stage, attempt: Attempt, question: str, id: str = "b", **options: Any) -> None:
    """Ask a question that steers turn `a`, and let its attempt hear of it."""
    await stage.store.submit(id, "foo", question, Options(**options), when_busy="steer")
    attempt.drop("steered")


def end_tools(ledger: Path) -> None:
    ledger.with_name("go").touch()


async def _one_turn(stage: Stage, *ids: str) -> str:
    """Return the answer of turns that are one, and have left nothing open."""
    records = [await stage.store.status(id) for id in ids]
    assert {record.state for record in records} == {State.COMPLETED}
    assert records[0].members == ids[1:]
    assert {record.text for record in records} == {records[0].text}
    assert not await stage.store.client.exists(stage.store.keys.steps(ids[0]), stage.store.keys.session("foo"))
    return records[0].text


@pytest.mark.parametrize("graph", [agent, older], ids=["agent", "with a hook before its model"])
async def test_a_question_comes_behind_the_results_of_the_step(stage: Stage, ledger: Path, graph: Any) -> None:
    attempt, task = await amid(stage, "call slowly 1; call pay 2 | call pay 3", graph)
    await steer(stage, attempt, "well?", name="ann")
    end_tools(ledger)
    assert (await task).status == State.COMPLETED
    assert await _one_turn(stage, "a", "b") == "round 1. done: "
    told: Told = [("human", "call slowly 1; call pay 2 | call pay 3"), ("ai", "round 1. "), ("tool", "ended 1")]
    assert await stage.history() == [*told, ("tool", "paid 2"), ("human", "well?"), ("ai", "done: ")]
    assert sorted(entry.split()[0] for entry in entries()) == ["begun", "ended", "paid"]
    assert await stage.texts() == "round 1. done: "


async def test_each_question_comes_at_the_step_that_it_found(stage: Stage, ledger: Path) -> None:
    attempt, task = await amid(stage, "call slowly 1")
    await steer(stage, attempt, "hm", "b")
    await steer(stage, attempt, "call slowly 2", "c", before=[{"role": "user", "content": "wait"}])
    ledger.with_name("go-1").touch()
    await wait_until_async(says(lambda: len(entries()) == 3), "the second tool has begun")
    await steer(stage, attempt, "well?", "d")
    end_tools(ledger)
    assert (await task).status == State.COMPLETED
    await _one_turn(stage, "a", "b", "c", "d")
    assert await stage.history() == [
        ("human", "call slowly 1"),
        *(("ai", "round 1. "), ("tool", "ended 1")),
        *(("human", "hm"), ("human", "wait"), ("human", "call slowly 2")),
        *(("ai", "round 1. "), ("tool", "ended 2")),
        *(("human", "well?"), ("ai", "done: ")),
    ]


async def test_questions_from_before_the_first_step_come_at_once(stage: Stage) -> None:
    await stage.store.submit("a", "foo", "call pay 1")
    await stage.store.submit("b", "foo", "call pay 2", when_busy="steer")
    assert (await stage.attempt(await claimed(stage.store, "a"), agent).run()).status == State.COMPLETED
    await _one_turn(stage, "a", "b")
    told = [("human", "call pay 1"), ("human", "call pay 2"), ("ai", "round 1. "), ("tool", "paid 2"), ("ai", "done: paid 2")]
    assert await stage.history() == told


@pytest.mark.parametrize("call", ["merge", "put_writes", "check_owner", "put_checkpoint", "finish"])
async def test_a_worker_that_dies_after_it_has_taken_a_question(stage: Stage, ledger: Path, call: str) -> None:
    claim = await stage.ask("call slowly 1")
    attempt = stage.attempt(claim, agent)
    task = await _until_a_tool_begins(attempt)
    stage.store.calls.clear()
    stage.store.meanwhile = lambda: _lose(stage, attempt, call)
    await steer(stage, attempt, "call pay 2")
    end_tools(ledger)
    await task
    stage.store.meanwhile = lambda: None
    if call != "finish":
        again = await taken_over(stage.store, claim)
        assert (await stage.attempt(again, agent).run()).status == State.COMPLETED
    await _one_turn(stage, "a", "b")
    assert await stage.history() == [
        *(("human", "call slowly 1"), ("ai", "round 1. "), ("tool", "ended 1")),
        *(("human", "call pay 2"), ("ai", "round 1. "), ("tool", "paid 2"), ("ai", "done: paid 2")),
    ]
    assert [entry.split()[0] for entry in entries()] == ["begun", "ended", "paid"]


def _lose(stage: Stage, attempt: Attempt, call: str) -> None:
    """Lose the turn at the first such call after the question was taken."""
    calls = stage.store.calls
    if "merge" in calls and call in calls[calls.index("merge") :]:
        attempt.drop("lost")


async def test_another_worker_takes_what_the_first_has_not(stage: Stage, ledger: Path) -> None:
    claim = await stage.ask("call slowly 1")
    attempt = stage.attempt(claim, agent)
    task = await _until_a_tool_begins(attempt)
    await stage.store.submit("b", "foo", "well?", when_busy="steer")
    attempt.drop("lost")
    await task
    end_tools(ledger)
    assert (await stage.attempt(await taken_over(stage.store, claim), agent).run()).status == State.COMPLETED
    await _one_turn(stage, "a", "b")
    assert [kind for kind, _ in await stage.history()] == ["human", "ai", "tool", "human", "ai"]


@pytest.mark.parametrize("graph", [agent, inside_another], ids=["at its last step", "in a graph inside it"])
async def test_a_graph_that_has_no_more_steps_leaves_the_question_to_be_the_next_turn(
    stage: Stage, ledger: Path, graph: Any
) -> None:
    if graph is agent:
        claim = await stage.ask("hello")
        attempt = stage.attempt(claim, agent)
        stage.store.meanwhile = lambda: attempt.drop("steered") if "check_owner" in stage.store.calls else None
        await stage.store.submit("b", "foo", "call pay 2", when_busy="steer")
        task = asyncio.create_task(attempt.run())
    else:
        attempt, task = await amid(stage, "call slowly 1", graph)
        await steer(stage, attempt, "call pay 2")
        end_tools(ledger)
    assert (await task).status == State.COMPLETED
    assert (await stage.store.status("b")).state is State.QUEUED
    assert (await stage.attempt(await claimed(stage.store, "b"), agent).run()).status == State.COMPLETED
    assert (await stage.history())[-4:] == [
        ("human", "call pay 2"),
        ("ai", "round 1. "),
        ("tool", "paid 2"),
        ("ai", "done: paid 2"),
    ]
    assert not any(entry.startswith("begun") for entry in entries()[1:])


async def test_a_process_that_ends_hands_the_question_on(stage: Stage, ledger: Path) -> None:
    attempt, task = await amid(stage, "call slowly 1")
    await steer(stage, attempt, "well?")
    attempt.drain()
    end_tools(ledger)
    assert (await task).status == "requeued"
    await stage.store.client.zadd(stage.store.keys.due, {"foo": 1})
    await stage.store.sweep()
    assert (await stage.attempt(await claimed(stage.store, "a"), agent).run()).status == State.COMPLETED
    await _one_turn(stage, "a", "b")
    assert len(entries()) == 2


async def test_a_turn_that_answers_calls_is_steered_behind_their_results(stage: Stage) -> None:
    await stage.run("call pay 1", asks_first)
    [call] = (await stage.store.status("a")).calls
    await stage.store.submit("b", "foo", "", Options(answers={call_name(call): "approve"}))
    await stage.store.submit("c", "foo", "well?", when_busy="steer")
    assert (await stage.attempt(await claimed(stage.store, "b"), asks_first).run()).status == State.COMPLETED
    assert await _one_turn(stage, "b", "c") == "done: "
    told = [("human", "call pay 1"), ("ai", "round 1. "), ("tool", "paid 1"), ("human", "well?"), ("ai", "done: ")]
    assert await stage.history() == told


async def test_an_interrupt_keeps_the_questions_that_were_taken(stage: Stage, ledger: Path) -> None:
    attempt, task = await amid(stage, "call slowly 1")
    await steer(stage, attempt, "call slowly 2")
    ledger.with_name("go-1").touch()
    await wait_until_async(says(lambda: len(entries()) == 3), "the second tool has begun")
    attempt.drop("interrupted")
    assert (await task).status == State.INCOMPLETE
    assert [(await stage.store.status(id)).code for id in "ab"] == [INTERRUPTED] * 2
    told = await stage.history()
    assert [kind for kind, _ in told] == ["human", "ai", "tool", "human", "ai", "tool"]
    assert told[3] == ("human", "call slowly 2")


async def test_an_interrupt_while_a_question_is_taken_keeps_it(stage: Stage, ledger: Path) -> None:
    attempt, task = await amid(stage, "call slowly 1")
    stage.store.calls.clear()
    stage.store.meanwhile = lambda: attempt.drop("interrupted") if "merge" in stage.store.calls else None
    await steer(stage, attempt, "well?")
    end_tools(ledger)
    assert (await task).status == State.INCOMPLETE
    assert [text for kind, text in await stage.history() if kind == "human"] == ["call slowly 1", "well?"]


async def test_after_a_failure_each_question_goes_by_itself(stage: Stage, ledger: Path) -> None:
    attempt, task = await amid(stage, "call slowly 1")
    await steer(stage, attempt, "call fail 2")
    end_tools(ledger)
    assert (await task).status == State.FAILED
    for id in "ab":
        with pytest.raises(TurnFailed):
            (await stage.store.status(id)).outcome()
    ledger.with_name("mended").touch()
    for id in "ab":
        await stage.store.retry(id)
        again = await claimed(stage.store, id)
        assert not again.marked
        assert (await stage.attempt(again, agent).run()).status == State.COMPLETED
    assert [text for _, text in await stage.history()].count("call fail 2") == 1
    assert [entry.split()[0] for entry in entries()] == ["begun", "ended"]
