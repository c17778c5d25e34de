"""Attempts on a real server, with outages, shutdowns and broken chains at the worst moment."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.runnables import RunnableGenerator, RunnableLambda

from tests.support.wait import PATIENCE_SECONDS, wait_until_async
from tests.support.worker_parts import (
    Flaky,
    chain,
    claimed,
    hanging,
    hello,
    make_due,
    says,
    started,
    texts,
)
from turnstile.memory import element
from turnstile.memory.codec import encode
from turnstile.memory.given import given_messages
from turnstile.memory.open_turn import OpenTurn, current
from turnstile.turns.errors import BrokenRecord
from turnstile.turns.output import refused
from turnstile.turns.question import Options
from turnstile.turns.redis.connection import close_async
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.workers.attempt import attempt as attempt_module
from turnstile.workers.attempt import prompt
from turnstile.workers.attempt.attempt import Attempt
from turnstile.workers.attempt.report import REQUEUED
from turnstile.workers.upkeep.sweep import sweep


async def test_a_chain_runs_inside_its_turn_with_the_claims_token(flaky: Flaky) -> None:
    seen: list[OpenTurn | None] = []

    async def speak() -> AsyncIterator[str]:
        seen.append(current.get())
        yield "hello"

    claim = await started(flaky, "a")
    assert (await Attempt(claim, chain(speak), flaky).run()).status == State.COMPLETED
    (turn,) = seen
    assert turn is not None
    assert (turn.session, turn.turn, turn.token) == ("foo", "a", claim.token)
    assert current.get() is None


async def test_an_answer_that_no_history_keeps_fails_its_turn(flaky: Flaky, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(element, "MOST_STORED_BYTES", 2_000)

    async def speak() -> AsyncIterator[str]:
        yield "secret" * 1_000

    assert (await Attempt(await started(flaky, "a"), chain(speak), flaky).run()).status == State.FAILED
    record = await flaky.status("a")
    assert record.code == "chain_error"
    assert "a history keeps 2,000 at most" in (record.message or "")
    assert await flaky.history("foo") == []


@pytest.mark.parametrize(("many", "beside"), [(1, False), (1_000, True)])
async def test_many_messages_are_read_and_written_beside_the_loop(
    flaky: Flaky, monkeypatch: pytest.MonkeyPatch, many: int, beside: bool
) -> None:
    threads: list[threading.Thread] = []

    def noted(messages: list[Any]) -> list[BaseMessage]:
        threads.append(threading.current_thread())
        return given_messages(messages)

    def written(*args: Any, **mark: Any) -> str:
        threads.append(threading.current_thread())
        return encode(*args, **mark)

    monkeypatch.setattr(prompt, "given_messages", noted)
    monkeypatch.setattr(attempt_module, "encode", written)
    await flaky.submit("a", "foo", "hi", Options(before=[{"role": "user", "content": "x"}] * many))
    assert (await Attempt(await claimed(flaky, "a"), chain(hello), flaky).run()).status == State.COMPLETED
    assert len(await flaky.history("foo")) == many + 2
    assert len(threads) >= many + 3
    assert all((thread is not threading.main_thread()) == beside for thread in threads)


async def test_a_refusal_is_told_and_kept_as_one(flaky: Flaky) -> None:
    async def refuse(_: AsyncIterator[Any]) -> AsyncIterator[AIMessageChunk]:
        yield AIMessageChunk(content="I won't.", response_metadata={"finish_reason": "refusal"})

    assert (await Attempt(await started(flaky, "a"), RunnableGenerator(refuse), flaky).run()).status == State.COMPLETED
    events = [(event.type, event.data) for event in await flaky.events("a")]
    assert events == [("started", ""), ("refusal", "I won't."), ("ended", "completed")]
    record = await flaky.status("a")
    assert (record.output, record.code) == (refused("I won't."), None)
    assert len(await flaky.history("foo")) == 2


@pytest.mark.parametrize("fault", ["refused", "unheard"])
async def test_an_answer_outlasts_an_outage(flaky: Flaky, fault: str) -> None:
    claim = await started(flaky, "a")
    getattr(flaky, fault)["finish"] = 1
    assert (await Attempt(claim, chain(hello), flaky).run()).status == State.COMPLETED
    assert len(await flaky.history("foo")) == 2
    assert await texts(flaky, "a") == ["hello"]


async def test_an_answer_that_is_being_committed_is_not_dropped(flaky: Flaky) -> None:
    attempt = Attempt(await started(flaky, "a"), chain(hello), flaky)
    flaky.refused["finish"] = 1
    task = asyncio.create_task(attempt.run())
    await wait_until_async(says(lambda: "finish" in flaky.calls), "the commit has begun")
    attempt.drop("shutdown")
    assert (await task).status == State.COMPLETED


async def test_an_answer_that_is_whole_although_it_was_to_be_dropped_is_committed(flaky: Flaky) -> None:
    begun = asyncio.Event()

    async def speak() -> AsyncIterator[str]:
        yield "well "
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        yield "done"

    attempt = Attempt(await started(flaky, "a"), chain(speak), flaky)
    task = asyncio.create_task(attempt.run())
    await begun.wait()
    attempt.drop("shutdown")
    assert (await task).status == State.COMPLETED
    assert (await flaky.status("a")).text == "well done"


async def test_a_turn_that_is_given_back_at_shutdown_costs_no_attempt(flaky: Flaky) -> None:
    claim = await started(flaky, "a")
    attempt, task, _ = await hanging(flaky, claim)
    attempt.drop("shutdown")
    assert (await task).status == REQUEUED
    assert (await flaky.status("a")).state is State.QUEUED
    again = await claimed(flaky, "a", "w2")
    assert (again.attempt, again.attempts_left) == (2, claim.attempts_left)


@pytest.mark.parametrize("last", [None, LookupError])
async def test_a_chain_that_swallows_a_cancellation_is_dropped_all_the_same(flaky: Flaky, last: type[Exception] | None) -> None:
    swallowed = asyncio.Event()

    async def speak() -> AsyncIterator[str]:
        yield "well "
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            swallowed.set()
        if last:
            raise last
        await asyncio.Event().wait()

    claim = await started(flaky, "a")
    attempt = Attempt(claim, chain(speak), flaky)
    task = asyncio.create_task(attempt.run())
    await wait_until_async(says(lambda: "emit" in flaky.calls), "the chain speaks")
    attempt.drop("shutdown")
    await swallowed.wait()
    attempt.drop("shutdown")
    assert (await asyncio.wait_for(task, PATIENCE_SECONDS)).status == REQUEUED
    assert task.cancelling() == 0
    assert (await claimed(flaky, "a", "w2")).attempts_left == claim.attempts_left


async def _broken() -> AsyncIterator[str]:
    yield "half "
    raise ConnectionError


async def test_a_passing_fault_is_tried_again_as_often_as_allowed(flaky: Flaky) -> None:
    claim = await started(flaky, "a")
    assert (await Attempt(claim, chain(_broken), flaky).run()).status == REQUEUED
    await make_due(flaky, "foo")
    await flaky.sweep()
    last = await claimed(flaky, "a")
    assert (await Attempt(last, chain(_broken), flaky).run()).status == State.FAILED
    record = await flaky.status("a")
    assert (record.state, record.code, record.attempts) == (State.FAILED, "model_unreachable", 2)
    assert await flaky.history("foo") == []


async def _refused() -> AsyncIterator[str]:
    for piece in list[str]():
        yield piece
    raise ConnectionRefusedError


async def test_a_server_that_is_away_costs_no_attempt(flaky: Flaky) -> None:
    claim = await started(flaky, "a")
    for _ in range(4):
        assert (await Attempt(claim, chain(_refused), flaky).run()).status == REQUEUED
        await make_due(flaky, "foo")
        await flaky.sweep()
        left, claim = claim.attempts_left, await claimed(flaky, "a")
        assert claim.attempts_left == left
    assert (await Attempt(claim, chain(hello), flaky).run()).status == State.COMPLETED
    assert (await flaky.status("a")).attempts == 5


@pytest.mark.parametrize(("said", "spent"), [([], 0), (["half "], 1)])
async def test_a_server_that_falls_silent_amid_an_answer_costs_an_attempt(flaky: Flaky, said: list[str], spent: int) -> None:
    async def fall_silent() -> AsyncIterator[str]:
        for piece in said:
            yield piece
        raise TimeoutError

    claim = await started(flaky, "a")
    assert (await Attempt(claim, chain(fall_silent), flaky).run()).status == REQUEUED
    await make_due(flaky, "foo")
    await flaky.sweep()
    assert (await claimed(flaky, "a")).attempts_left == claim.attempts_left - spent


async def _wrong() -> AsyncIterator[str]:
    yield "half "
    raise LookupError


async def test_half_an_answer_is_no_answer(flaky: Flaky) -> None:
    report = await Attempt(await started(flaky, "a"), chain(_wrong), flaky).run()
    assert report.status == State.FAILED
    assert (await flaky.status("a")).answer is None
    assert await flaky.history("foo") == []


async def test_a_history_of_another_type_fails_its_turns_once_and_no_others(flaky: Flaky) -> None:
    await flaky.client.hset(flaky.keys.history("foo"), "not", "a list")
    await flaky.submit("a", "foo", "hi")
    await flaky.submit("b", "foo", "hi")
    for id in ("a", "b"):
        assert (await Attempt(await claimed(flaky, id), chain(hello), flaky).run()).status == State.FAILED
        record = await flaky.status(id)
        assert (record.code, record.attempts) == ("history_unreadable", 1)
        assert str(record.message).startswith("The history of this session cannot be read: its key holds another type")
    assert (await Attempt(await started(flaky, "c", "bar"), chain(hello), flaky).run()).status == State.COMPLETED


async def test_a_history_that_becomes_another_type_meanwhile_fails_the_turn_once(flaky: Flaky) -> None:
    async def speak() -> AsyncIterator[str]:
        yield "hello"
        await flaky.client.set(flaky.keys.history("foo"), "not a list")

    await flaky.submit("b", "foo", "hi", Options(stream=True))
    assert (await Attempt(await claimed(flaky, "b"), chain(speak), flaky).run()).status == State.FAILED
    record = await flaky.status("b")
    assert (record.code, record.attempts) == ("history_unreadable", 1)
    assert await texts(flaky, "b") == ["hello"]


@pytest.mark.parametrize("option", ["history", "before"])
@pytest.mark.parametrize("message", [{"role": "nobody", "content": "my secret"}, {"role": "tool", "content": "my secret"}])
async def test_messages_that_are_none_fail_the_turn_and_are_not_quoted(flaky: Flaky, option: str, message: Any) -> None:
    options: dict[str, Any] = {option: [message]}
    await flaky.submit("a", "foo", "hi", Options(**options))
    report = await Attempt(await claimed(flaky, "a"), chain(hello), flaky).run()
    record = await flaky.status("a")
    assert (report.status, record.state, record.code) == (State.FAILED, State.FAILED, "invalid_request")
    assert "secret" not in str(record.message)


async def test_the_wait_for_a_retry_counts_from_the_latest_start_over(flaky: Flaky, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def backoff(tries: int, *_: object) -> float:
        tried.append(tries)
        return 0.01

    async def speak() -> AsyncIterator[str]:
        yield "well "
        raise ConnectionError

    monkeypatch.setattr(attempt_module, "backoff", backoff)
    claim = await started(flaky, "a")
    for _ in range(3):
        await flaky.requeue(claim, forgive=True)
        claim = await claimed(flaky, "a")
    await Attempt(claim, chain(speak), flaky).run()
    assert (claim.attempt, tried) == (4, [1])


async def test_events_that_somebody_has_overwritten_stop_the_stream_and_not_the_turn(flaky: Flaky) -> None:
    async def speak() -> AsyncIterator[str]:
        yield "well "
        await flaky.client.set(flaky.keys.events("a"), "no stream")
        yield "hello"

    claim = await started(flaky, "a")
    with pytest.raises(BrokenRecord):
        await Attempt(claim, chain(speak), flaky).run()
    assert (await flaky.status("a")).state is State.COMPLETED
    await flaky.client.delete(flaky.keys.events("a"))
    await make_due(flaky, "foo")
    await sweep(flaky)
    assert len(await flaky.history("foo")) == 2
    assert [event.data for event in await flaky.events("a")][-1] == "completed"


async def test_the_system_messages_of_the_beginning_survive_the_window(flaky: Flaky) -> None:
    asked: list[list[BaseMessage]] = []

    async def note(inputs: Any) -> str:
        asked.append(inputs["history"])
        return "Hello"

    opening = [{"role": "system", "content": "Be brief."}, {"role": "developer", "content": "Be kind."}]
    talk = [{"role": role, "content": str(n)} for n in range(30) for role in ("user", "assistant")]
    for id, before in (("a", [*opening, *talk]), ("b", [])):
        await flaky.submit(id, "foo", "hi", Options(before=before))
        await Attempt(await claimed(flaky, id), RunnableLambda(note), flaky).run()
    assert [message.text for message in asked[1][:3]] == ["Be brief.", "Be kind.", "15"]
    assert len(asked[1]) == 2 + 32


async def test_a_history_that_is_not_read_whole_fails_the_turn_that_wants_it_so(redis_url: str) -> None:
    flaky = Flaky(Settings(redis_url=redis_url, window_messages=2, window_bytes=4_096))
    told = [{"role": role, "content": str(n)} for n in range(4) for role in ("user", "assistant")]
    asked: list[int] = []

    async def note(inputs: Any) -> str:
        asked.append(len(inputs["history"]))
        return "Hello"

    for id, before in (("a", told), ("b", [{"role": "user", "content": "x" * 4_096}]), ("c", [])):
        await flaky.submit(id, "foo", "hi", Options(before=before, truncation="disabled"))
        await Attempt(await claimed(flaky, id), RunnableLambda(note), flaky).run()
    assert asked == [8, 8 + 2 + 1]
    assert ((await flaky.status("c")).code, (await flaky.status("c")).attempts) == ("context_length_exceeded", 1)
    await close_async(flaky.url)
