"""A worker's parts on a real server, with replies that get lost, turns that are taken away and outages at the worst moment."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import pytest
from celery import Celery
from langchain_core.runnables import RunnableGenerator

from tests.support import wait_until_async
from turns.connection import close_async
from turns.errors import QueueUnreachable
from turns.settings import Settings
from turns.states import State
from turns.store import AsyncTurnStore, Call
from turns.wire import Claim, Options
from workers import attempt as attempt_module
from workers import intake
from workers.attempt import Attempt
from workers.leases import LeaseKeeper
from workers.report import LOST, REQUEUED
from workers.sweep import audit, sweep

T = TypeVar("T")
Speak = Callable[[], AsyncIterator[str]]

_nonces = itertools.count(1)


class Flaky(AsyncTurnStore):
    """A store whose calls can go wrong: `refused` ones never reach the server, of `unheard` ones the reply is lost."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.calls: list[str] = []
        self.refused: dict[str, int] = {}
        self.unheard: dict[str, int] = {}
        self.meanwhile: Callable[[], None] = lambda: None

    async def run(self, call: Call[T]) -> T:
        """Make a call, and let it go wrong as often as it shall."""
        self.calls.append(call.name)
        self._spend(self.refused, call.name)
        result = await super().run(call)
        self.meanwhile()
        self._spend(self.unheard, call.name)
        return result

    def _spend(self, left: dict[str, int], name: str) -> None:
        if left.get(name):
            left[name] -= 1
            raise QueueUnreachable("It does not answer.")


@pytest.fixture
async def flaky(redis_url: str) -> AsyncIterator[Flaky]:
    store = Flaky(Settings(redis_url=redis_url, max_attempts=2, retry_base_seconds=0.01))
    yield store
    await close_async(store.url)


def chain(speak: Speak) -> RunnableGenerator[Any, str]:
    """A chain that says what `speak` yields."""

    async def transform(inputs: AsyncIterator[Any]) -> AsyncIterator[str]:
        async for _ in inputs:
            async for piece in speak():
                yield piece

    return RunnableGenerator(transform)


async def hello() -> AsyncIterator[str]:
    yield "hello"


async def claimed(store: AsyncTurnStore, id: str, worker: str = "w1") -> Claim:
    claim = await store.claim(id, worker, f"nonce-{next(_nonces)}")
    assert isinstance(claim, Claim), claim
    return claim


async def started(store: AsyncTurnStore, id: str, session: str = "foo") -> Claim:
    await store.submit(id, session, f"question {id}")
    return await claimed(store, id)


async def taken_over(store: AsyncTurnStore, claim: Claim) -> Claim:
    """The lease runs out, and another worker claims the turn."""
    await store.client.hset(store.keys.session(claim.session), "lease", "1")
    await make_due(store, claim.session)
    await store.sweep()
    return await claimed(store, claim.id, "w2")


async def make_due(store: AsyncTurnStore, *sessions: str) -> None:
    await store.client.zadd(store.keys.due, dict.fromkeys(sessions, 1))


async def texts(store: AsyncTurnStore, id: str) -> list[str]:
    return [event.data for event in await store.events(id) if event.type == "text"]


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
        assert (await task).word == LOST
    assert not {"finish", "requeue"} & set(flaky.calls)
    assert (await Attempt(other, chain(hello), flaky).run()).word == State.COMPLETED
    assert len(await flaky.history("foo")) == 2


async def test_an_order_to_drop_is_obeyed_at_once(flaky: Flaky) -> None:
    keeper, claim = LeaseKeeper(flaky, "w1"), await started(flaky, "a")
    listening = asyncio.create_task(keeper.listen(lambda: None))
    await keeper.listening.wait()
    attempt, task, model = await hanging(flaky, claim)
    with keeper.hold(attempt):
        assert await flaky.cancel("a") is State.CANCELLED
        await asyncio.wait_for(model.left.wait(), 10)
        assert (await task).word == State.CANCELLED
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
    assert (await Attempt(claim, chain(hello), flaky).run()).word == State.COMPLETED
    assert len(await flaky.history("foo")) == 2
    assert await texts(flaky, "a") == ["hello"]


async def test_an_answer_that_is_being_committed_is_not_dropped(flaky: Flaky) -> None:
    attempt = Attempt(await started(flaky, "a"), chain(hello), flaky)
    flaky.refused["finish"] = 1
    task = asyncio.create_task(attempt.run())
    await wait_until_async(_says(lambda: "finish" in flaky.calls), "the commit has begun")
    attempt.drop("shutdown")
    assert (await task).word == State.COMPLETED


def _says(what: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        return what()

    return ask


async def test_a_turn_that_is_given_back_at_shutdown_costs_no_attempt(flaky: Flaky) -> None:
    claim = await started(flaky, "a")
    attempt, task, _ = await hanging(flaky, claim)
    attempt.drop("shutdown")
    assert (await task).word == REQUEUED
    assert (await flaky.status("a")).state is State.QUEUED
    again = await claimed(flaky, "a", "w2")
    assert (again.attempt, again.chances) == (2, claim.chances)


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
    await wait_until_async(_says(lambda: "emit" in flaky.calls), "the chain speaks")
    attempt.drop("shutdown")
    await swallowed.wait()
    attempt.drop("shutdown")
    assert (await asyncio.wait_for(task, 10)).word == REQUEUED
    assert task.cancelling() == 0
    assert (await claimed(flaky, "a", "w2")).chances == claim.chances


async def _broken() -> AsyncIterator[str]:
    yield "half "
    raise ConnectionError


async def test_a_passing_fault_is_tried_again_as_often_as_allowed(flaky: Flaky) -> None:
    claim = await started(flaky, "a")
    assert (await Attempt(claim, chain(_broken), flaky).run()).word == REQUEUED
    await make_due(flaky, "foo")
    await flaky.sweep()
    last = await claimed(flaky, "a")
    assert (await Attempt(last, chain(_broken), flaky).run()).word == State.FAILED
    record = await flaky.status("a")
    assert (record.state, record.code, record.attempts) == (State.FAILED, "model_unreachable", 2)
    assert await flaky.history("foo") == []


async def _wrong() -> AsyncIterator[str]:
    yield "half "
    raise LookupError


async def test_half_an_answer_is_no_answer(flaky: Flaky) -> None:
    report = await Attempt(await started(flaky, "a"), chain(_wrong), flaky).run()
    assert report.word == State.FAILED
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
    assert (await Attempt(await claimed(flaky, "a"), chain(speak), flaky).run()).word == State.COMPLETED
    wanted = "smile \N{GRINNING FACE}, and half: \N{REPLACEMENT CHARACTER}"
    assert (await flaky.status("a")).answer == wanted
    assert json.loads((await flaky.history("foo"))[0])["data"]["content"] == wanted
    assert "".join(await texts(flaky, "a")) == (wanted if stream else "")


@pytest.mark.parametrize("option", ["history", "before"])
@pytest.mark.parametrize("message", [{"role": "nobody", "content": "my secret"}, {"role": "tool", "content": "my secret"}])
async def test_messages_that_are_none_fail_the_turn_and_are_not_quoted(flaky: Flaky, option: str, message: Any) -> None:
    options: dict[str, Any] = {option: [message]}
    await flaky.submit("a", "foo", "hi", Options(**options))
    report = await Attempt(await claimed(flaky, "a"), chain(hello), flaky).run()
    record = await flaky.status("a")
    assert (report.word, record.state, record.code) == (State.FAILED, State.FAILED, "invalid_request")
    assert "secret" not in str(record.message)


@pytest.mark.parametrize("fault", ["refused", "unheard"])
async def test_text_is_written_once_though_replies_are_lost(flaky: Flaky, fault: str) -> None:
    getattr(flaky, fault)["emit"] = 1

    async def speak() -> AsyncIterator[str]:
        yield "one "
        await wait_until_async(_says(lambda: "emit" in flaky.calls), "the first piece was sent")
        yield "two "
        await wait_until_async(_says(lambda: flaky.calls.count("emit") >= 3), "both pieces were sent")
        yield "three"

    await Attempt(await started(flaky, "a"), chain(speak), flaky).run()
    assert "".join(await texts(flaky, "a")) == "one two three"


@pytest.mark.parametrize("fault", ["refused", "unheard"])
async def test_text_whose_fate_is_unknown_at_the_end_is_not_lost(flaky: Flaky, fault: str) -> None:
    getattr(flaky, fault)["emit"] = 1

    async def speak() -> AsyncIterator[str]:
        yield "one "
        await wait_until_async(_says(lambda: "emit" in flaky.calls), "the first piece was sent")
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


async def test_a_stream_stops_when_its_turn_is_taken(flaky: Flaky) -> None:
    claim = await started(flaky, "a")
    await taken_over(flaky, claim)

    async def speak() -> AsyncIterator[str]:
        yield "one "
        await wait_until_async(_says(lambda: "emit" in flaky.calls), "the first piece was sent")
        for word in ("two ", "three "):
            await asyncio.sleep(0.1)
            yield word

    assert (await Attempt(claim, chain(speak), flaky).run()).word == LOST
    assert flaky.calls.count("emit") == 1
    assert await texts(flaky, "a") == []


def _send(flaky: Flaky, *questions: str) -> list[str]:
    with Celery("stranger", broker=flaky.url) as stranger:
        return [str(stranger.send_task("workers.answer", args=["foo", question]).id) for question in questions]


async def test_plain_celery_messages_become_turns_in_their_order(flaky: Flaky) -> None:
    ids = _send(flaky, "one", "two", "three")
    assert await intake.take(flaky) == 3
    assert await flaky.client.llen("celery") == 0
    assert [(await flaky.status(id)).place for id in ids] == [0, 1, 2]
    assert await intake.take(flaky) == 0


async def test_messages_of_others_do_not_hide_ours(flaky: Flaky) -> None:
    with Celery("stranger", broker=flaky.url) as stranger:
        for _ in range(2 * intake._BATCH + 1):
            stranger.send_task("theirs", queue="celery")
    ids = _send(flaky, "one", "two")
    assert await intake.take(flaky) == 2
    assert [(await flaky.status(id)).place for id in ids] == [0, 1]
    assert await flaky.client.llen("celery") == 2 * intake._BATCH + 1


async def test_messages_wait_in_their_queue_for_room_in_their_session(redis_url: str) -> None:
    store = Flaky(Settings(redis_url=redis_url, max_waiting_per_session=2))
    ids = _send(store, "one", "two", "three", "four", "five")
    with Celery("stranger", broker=redis_url) as stranger:
        other = str(stranger.send_task("workers.answer", args=["bar", "hi"]).id)
    assert await intake.take(store) == 4
    assert (await store.status(other)).place == 0
    assert await intake.take(store) == 0
    await store.cancel(ids[1])
    assert await intake.take(store) == 1
    assert [(await store.status(id)).place for id in (ids[0], *ids[2:4])] == [0, 1, 2]
    await store.cancel(ids[0])
    assert await intake.take(store) == 1
    assert (await store.status(ids[4])).place == 2
    await close_async(redis_url)


async def test_messages_with_a_priority_are_found(flaky: Flaky) -> None:
    with Celery("stranger", broker=flaky.url) as stranger:
        ids = [str(stranger.send_task("workers.answer", args=["foo", "hi"], priority=n).id) for n in (0, 9, 3)]
    assert await intake.take(flaky) == 3
    assert all([(await flaky.status(id)).state is State.QUEUED for id in ids])


@pytest.mark.parametrize(
    ("how", "word"),
    [
        ({"serializer": "pickle"}, "JSON"),
        ({"compression": "gzip"}, "JSON"),
        ({"countdown": 60}, "eta"),
        ({"expires": 60}, "expires"),
        ({"args": ["foo"]}, "session_id, question"),
        ({"args": ["no session", "hi"]}, "session id"),
    ],
    ids=str,
)
async def test_what_no_turn_can_be_made_of_is_refused_to_its_sender(flaky: Flaky, how: dict[str, Any], word: str) -> None:
    with Celery("stranger", broker=flaky.url, backend=flaky.url) as stranger:
        sent = stranger.send_task("workers.answer", **{"args": ["foo", "hi"], **how})
        assert await intake.take(flaky) == 1
        with pytest.raises(Exception, match=word):
            sent.get(timeout=30)
    assert await flaky.client.llen("celery") == 0


async def test_a_message_nested_too_deep_to_read_does_not_hold_up_the_others(flaky: Flaky) -> None:
    await flaky.client.lpush("celery", "[" * 100_000 + "]" * 100_000)
    (id,) = _send(flaky, "one")
    assert await intake.take(flaky) == 1
    assert (await flaky.status(id)).state is State.QUEUED


@pytest.mark.parametrize("fault", ["refused", "unheard"])
async def test_a_plain_celery_message_stays_until_it_is_a_turn(flaky: Flaky, fault: str) -> None:
    (id,) = _send(flaky, "one")
    getattr(flaky, fault)["submit"] = 1
    with pytest.raises(QueueUnreachable):
        await intake.take(flaky)
    assert await flaky.client.llen("celery") == 1
    assert await intake.take(flaky) == 1
    assert (await flaky.status(id)).state is State.QUEUED
    assert (await flaky.stats())["accepted"] == 1


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
