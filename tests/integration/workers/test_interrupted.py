"""Attempts at turns that another question interrupts, on a real server."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.runnables import RunnableGenerator

from tests.support.wait import PATIENCE_SECONDS, wait_until_async
from tests.support.worker_parts import Flaky, Hanging, chain, claimed, hanging, hello, says, started, taken_over, texts
from turnstile.memory.codec import decode
from turnstile.turns.output import refused
from turnstile.turns.policies import INTERRUPTED, STEERED
from turnstile.turns.states import State
from turnstile.turns.turn import Record
from turnstile.workers.attempt.attempt import Attempt
from turnstile.workers.process.leases import LeaseKeeper


async def _told(store: Flaky) -> list[tuple[str, str]]:
    found = [decode(element) for element in reversed(await store.history("foo"))]
    return [(one.message.type, str(one.message.text)) for one in found if one]


async def _interrupted(store: Flaky, text: str) -> Record:
    """Look at the end of turn `a`, which has said a text."""
    record = await store.status("a")
    assert (record.state, record.code, record.text) == (State.INCOMPLETE, INTERRUPTED, text)
    assert "".join(await texts(store, "a")) == text
    assert await _told(store) == [("human", "question a"), *([("ai", text)] if text else [])]
    return record


async def test_what_it_has_said_is_kept_and_the_model_is_left(flaky: Flaky) -> None:
    keeper, claim = LeaseKeeper(flaky, "w1"), await started(flaky, "a")
    attempt, task, model = await hanging(flaky, claim)
    with keeper.hold(attempt):
        keeper._hear(b"message", b"", b"interrupt a")
        assert (await task).status == State.INCOMPLETE
    await asyncio.wait_for(model.left.wait(), PATIENCE_SECONDS)
    await _interrupted(flaky, "well ")


async def test_a_refusal_stays_one(flaky: Flaky) -> None:
    begun = asyncio.Event()

    async def refuse(_: AsyncIterator[Any]) -> AsyncIterator[AIMessageChunk]:
        yield AIMessageChunk(content="I won't", response_metadata={"finish_reason": "refusal"})
        begun.set()
        await asyncio.Event().wait()

    attempt = Attempt(await started(flaky, "a"), RunnableGenerator(refuse), flaky)
    task = asyncio.create_task(attempt.run())
    await begun.wait()
    attempt.drop("interrupted")
    assert (await task).status == State.INCOMPLETE
    assert (await flaky.status("a")).output == refused("I won't")


async def test_a_turn_that_has_not_begun_ends_with_its_question_and_asks_no_model(flaky: Flaky) -> None:
    asked = []

    async def speak() -> AsyncIterator[str]:
        asked.append("it")
        yield "no"

    await flaky.submit("a", "foo", "question a")
    await flaky.submit("b", "foo", "question b", when_busy="interrupt")
    assert (await Attempt(await claimed(flaky, "a"), chain(speak), flaky).run()).status == State.INCOMPLETE
    await _interrupted(flaky, "")
    assert not asked
    assert (await Attempt(await claimed(flaky, "b"), chain(hello), flaky).run()).status == State.COMPLETED


async def test_the_words_of_a_worker_that_died_are_kept(flaky: Flaky) -> None:
    claim = await started(flaky, "a")
    _, task, _ = await hanging(flaky, claim)
    await wait_until_async(says(lambda: "emit" in flaky.calls), "the word is written")
    await wait_until_async(lambda: _has_said(flaky), "the word is there")
    await flaky.submit("b", "foo", "question b", when_busy="interrupt")
    again = await taken_over(flaky, claim)
    assert again.interrupted
    flaky.refused["events"] = 1
    assert (await Attempt(again, chain(hello), flaky).run()).status == State.INCOMPLETE
    record = await flaky.status("a")
    assert (record.text, await texts(flaky, "a")) == ("well ", ["well ", "well "])
    assert await _told(flaky) == [("human", "question a"), ("ai", "well ")]
    task.cancel()
    await asyncio.wait([task])


async def _has_said(flaky: Flaky) -> bool:
    return await texts(flaky, "a") == ["well "]


@pytest.mark.parametrize("fault", ["refused", "unheard"])
async def test_its_end_outlasts_an_outage(flaky: Flaky, fault: str) -> None:
    attempt, task, _ = await hanging(flaky, await started(flaky, "a"))
    getattr(flaky, fault)["finish"] = 1
    attempt.drop("interrupted")
    assert (await task).status == State.INCOMPLETE
    await _interrupted(flaky, "well ")


async def test_a_shutdown_meanwhile_leaves_it_to_the_next_worker(flaky: Flaky) -> None:
    attempt, task, _ = await hanging(flaky, await started(flaky, "a"))
    attempt.drop("shutdown")
    attempt.drop("interrupted")
    await task
    await flaky.submit("b", "foo", "question b", when_busy="interrupt")
    assert (await Attempt(await claimed(flaky, "a"), chain(Hanging().speak), flaky).run()).status == State.INCOMPLETE
    assert await _told(flaky) == [("human", "question a"), ("ai", "well ")]


async def test_a_question_that_steers_begins_the_answer_anew_with_both(flaky: Flaky) -> None:
    asked: list[Any] = []
    begun = asyncio.Event()

    async def answer(inputs: AsyncIterator[Any]) -> AsyncIterator[str]:
        [one] = [given async for given in inputs]
        asked.append([*(message.content for message in one["history"]), one["question"]])
        yield "well "
        begun.set()
        if len(asked) == 1:
            await asyncio.Event().wait()
        yield "both"

    keeper, claim = LeaseKeeper(flaky, "w1"), await started(flaky, "a")
    attempt = Attempt(claim, RunnableGenerator(answer), flaky)
    task = asyncio.create_task(attempt.run())
    await begun.wait()
    await flaky.submit("b", "foo", "question b", when_busy="steer")
    with keeper.hold(attempt):
        keeper._hear(b"message", b"", b"steer a")
        assert (await task).status == State.COMPLETED
    assert asked == [["question a"], ["question a", "question b"]]
    assert [(await flaky.status(id)).text for id in "ab"] == ["well both"] * 2
    assert await _told(flaky) == [("human", "question a"), ("human", "question b"), ("ai", "well both")]
    kinds = [(event.type, event.data) for event in await flaky.events("a")]
    assert kinds[-1] == ("ended", "completed")
    last = max(place for place, (kind, _) in enumerate(kinds) if kind == "started")
    assert "".join(data for kind, data in kinds[last:] if kind == "text") == "well both"


async def test_an_answer_that_is_begun_anew_again_and_again_is_one_turn(flaky: Flaky) -> None:
    times, begun = 0, asyncio.Event()

    async def speak() -> AsyncIterator[str]:
        nonlocal times
        times += 1
        yield "well"
        begun.set()
        if times <= 400:
            await asyncio.Event().wait()

    attempt = Attempt(await started(flaky, "a"), chain(speak), flaky)
    task = asyncio.create_task(attempt.run())
    for _ in range(400):
        await begun.wait()
        begun.clear()
        attempt.drop(STEERED)
    assert (await task).status == State.COMPLETED
    assert times == 401
