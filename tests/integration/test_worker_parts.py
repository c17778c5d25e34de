"""A worker's parts on a real server, with replies that get lost, turns that are taken away and outages at the worst moment."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.runnables import RunnableGenerator

from tests.integration.parts import Flaky, chain, claimed, hello, make_due, says, started, taken_over, texts
from tests.support import wait_until_async
from turnstile.memory.open_turn import OpenTurn, current
from turnstile.turns.errors import BrokenRecord
from turnstile.turns.output import refused
from turnstile.turns.question import Options
from turnstile.turns.states import State
from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.turns.turn import Claim
from turnstile.workers.attempt import attempt as attempt_module
from turnstile.workers.attempt.attempt import Attempt
from turnstile.workers.attempt.report import LOST, REQUEUED
from turnstile.workers.process.leases import LeaseKeeper
from turnstile.workers.upkeep.audit import audit
from turnstile.workers.upkeep.sweep import sweep


class Hanging:
    """Says one word and then nothing; `left` once its listener is gone."""

    def __init__(self) -> None:
        self.begun, self.left = asyncio.Event(), asyncio.Event()

    async def speak(self) -> AsyncIterator[str]:
        """The word."""
        yield "well "
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.left.set()


async def hanging(store: AsyncTurnStore, claim: Claim) -> tuple[Attempt, asyncio.Task[Any], Hanging]:
    """An attempt in the middle of its model's answer."""
    model = Hanging()
    attempt = Attempt(claim, chain(model.speak), store)
    task = asyncio.create_task(attempt.run())
    await model.begun.wait()
    return attempt, task, model


async def test_a_turn_that_was_taken_away_is_dropped_and_not_committed(flaky: Flaky) -> None:
    keeper, claim = LeaseKeeper(flaky, "w1"), await started(flaky, "a")
    attempt, task, model = await hanging(flaky, claim)
    with keeper.hold(attempt):
        await keeper.renew()
        assert not model.left.is_set()
        other = await taken_over(flaky, claim)
        await keeper.renew()
        await asyncio.wait_for(model.left.wait(), 10)
        assert (await task).status == LOST
    assert not {"finish", "requeue"} & set(flaky.calls)
    assert (await Attempt(other, chain(hello), flaky).run()).status == State.COMPLETED
    assert len(await flaky.history("foo")) == 2


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


async def test_a_refusal_is_told_and_kept_as_one(flaky: Flaky) -> None:
    async def refuse(_: AsyncIterator[Any]) -> AsyncIterator[AIMessageChunk]:
        yield AIMessageChunk(content="I won't.", response_metadata={"finish_reason": "refusal"})

    assert (await Attempt(await started(flaky, "a"), RunnableGenerator(refuse), flaky).run()).status == State.COMPLETED
    told = [(event.type, event.data) for event in await flaky.events("a")]
    assert told == [("started", ""), ("refusal", "I won't."), ("ended", "completed")]
    record = await flaky.status("a")
    assert (record.output, record.code) == (refused("I won't."), None)
    assert len(await flaky.history("foo")) == 2


async def test_an_order_to_drop_is_obeyed_at_once(flaky: Flaky) -> None:
    keeper, claim = LeaseKeeper(flaky, "w1"), await started(flaky, "a")
    listening = asyncio.create_task(keeper.listen(lambda: None))
    await keeper.listening.wait()
    attempt, task, model = await hanging(flaky, claim)
    with keeper.hold(attempt):
        assert await flaky.cancel("a") is State.CANCELLED
        await asyncio.wait_for(model.left.wait(), 10)
        assert (await task).status == State.CANCELLED
    listening.cancel()
    with suppress(asyncio.CancelledError):
        await listening
    assert not {"finish", "requeue", "renew"} & set(flaky.calls)


class Pawn:
    """Held by a keeper, and told to drop."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.dropped: list[str] = []

    def drop(self, why: str) -> None:
        """Remember it."""
        self.dropped.append(why)


async def test_word_about_an_attempt_that_is_over_does_not_end_the_next_one(flaky: Flaky) -> None:
    keeper, claim = LeaseKeeper(flaky, "w1"), await started(flaky, "a")
    old, new = Pawn(claim), Pawn(await taken_over(flaky, claim))
    with keeper.hold(old):
        flaky.meanwhile = lambda: keeper._held.update({"a": new})
        await keeper.renew()
        assert (old.dropped, new.dropped) == ([], [])


async def test_a_turn_that_comes_back_to_its_own_worker_is_kept_when_the_old_attempt_ends(flaky: Flaky) -> None:
    keeper, claim = LeaseKeeper(flaky, "w2"), await started(flaky, "a")
    old, new = Pawn(claim), Pawn(await taken_over(flaky, claim))
    leaving = keeper.hold(old)
    leaving.__enter__()
    with keeper.hold(new):
        assert old.dropped == ["lost"]
        leaving.__exit__(None, None, None)
        keeper.drop_all("shutdown")
        assert new.dropped == ["shutdown"]
    assert len(keeper) == 0


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
    assert (await asyncio.wait_for(task, 10)).status == REQUEUED
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


async def _wrong() -> AsyncIterator[str]:
    yield "half "
    raise LookupError


async def test_half_an_answer_is_no_answer(flaky: Flaky) -> None:
    report = await Attempt(await started(flaky, "a"), chain(_wrong), flaky).run()
    assert report.status == State.FAILED
    assert (await flaky.status("a")).answer is None
    assert await flaky.history("foo") == []


HALVES = ("smile \ud83d", "\ude00, and half: \ud83d")


@pytest.mark.parametrize("stream", [True, False])
async def test_an_emoji_that_comes_in_halves_is_whole_everywhere(flaky: Flaky, stream: bool) -> None:
    async def speak() -> AsyncIterator[str]:
        for piece in HALVES:
            yield piece
            await asyncio.sleep(0.1)

    await flaky.submit("a", "foo", "hi", Options(stream=stream))
    assert (await Attempt(await claimed(flaky, "a"), chain(speak), flaky).run()).status == State.COMPLETED
    wanted = "smile \N{GRINNING FACE}, and half: \N{REPLACEMENT CHARACTER}"
    assert (await flaky.status("a")).answer == wanted
    assert json.loads((await flaky.history("foo"))[0])["data"]["content"] == wanted
    assert "".join(await texts(flaky, "a")) == (wanted if stream else "")


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


@pytest.mark.parametrize("fault", ["refused", "unheard"])
async def test_text_is_written_once_though_replies_are_lost(flaky: Flaky, fault: str) -> None:
    getattr(flaky, fault)["emit"] = 1

    async def speak() -> AsyncIterator[str]:
        yield "one "
        await wait_until_async(says(lambda: "emit" in flaky.calls), "the first piece was sent")
        yield "two "
        await wait_until_async(says(lambda: flaky.calls.count("emit") >= 3), "both pieces were sent")
        yield "three"

    await Attempt(await started(flaky, "a"), chain(speak), flaky).run()
    assert "".join(await texts(flaky, "a")) == "one two three"


@pytest.mark.parametrize("fault", ["refused", "unheard"])
async def test_text_whose_fate_is_unknown_at_the_end_is_not_lost(flaky: Flaky, fault: str) -> None:
    getattr(flaky, fault)["emit"] = 1

    async def speak() -> AsyncIterator[str]:
        yield "one "
        await wait_until_async(says(lambda: "emit" in flaky.calls), "the first piece was sent")
        yield "two"

    await Attempt(await started(flaky, "a"), chain(speak), flaky).run()
    assert "".join(await texts(flaky, "a")) == "one two"
    assert (await flaky.status("a")).answer == "one two"


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


async def test_a_stream_stops_when_its_turn_is_taken(flaky: Flaky) -> None:
    claim = await started(flaky, "a")
    await taken_over(flaky, claim)

    async def speak() -> AsyncIterator[str]:
        yield "one "
        await wait_until_async(says(lambda: "emit" in flaky.calls), "the first piece was sent")
        for word in ("two ", "three "):
            await asyncio.sleep(0.1)
            yield word

    assert (await Attempt(claim, chain(speak), flaky).run()).status == LOST
    assert flaky.calls.count("emit") == 1
    assert await texts(flaky, "a") == []


async def test_one_sweep_finds_all_that_is_overdue(flaky: Flaky) -> None:
    names = [f"s{number}" for number in range(230)]
    for name in names:
        await started(flaky, name, name)
        await flaky.client.hset(flaky.keys.session(name), "lease", "1")
    await make_due(flaky, *names)
    await sweep(flaky)
    assert (await flaky.stats())["recovered"] == 230


async def test_a_lost_due_entry_is_restored(flaky: Flaky) -> None:
    await flaky.submit("a", "foo", "hi")
    await started(flaky, "b", "bar")
    await flaky.client.zrem(flaky.keys.due, "foo")
    assert await audit(flaky, now=True) == 1
    assert await audit(flaky, now=True) == 0
    assert await flaky.client.zcard(flaky.keys.due) == 2
