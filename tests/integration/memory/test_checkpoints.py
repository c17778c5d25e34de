"""Kept steps as a LangGraph checkpointer: the conformance suite, the owner, and what cannot be stored or read."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.conformance import checkpointer_test, validate
from pydantic import BaseModel

from turnstile.memory.checkpoints import StepSaver
from turnstile.memory.step_codec import StepCodec
from turnstile.memory.step_errors import LaneClosed, StepError, StepNotStorable, StepsUnreadable
from turnstile.memory.step_lane import StepLane
from turnstile.turns.redis.connection import close_async
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.turns.turn import Claim

CONFIG: Any = {"configurable": {"thread_id": "a", "checkpoint_ns": ""}, "metadata": {"run_id": "a"}}


class Held:
    """A claimed turn with its lane, and what stopped it."""

    def __init__(self, store: AsyncTurnStore, claim: Claim) -> None:
        self.store, self.claim = store, claim
        self.stopped: list[StepError] = []
        self.lane = StepLane(_once, self.stopped.append)

    def saver(self, codec: StepCodec | None = None, **options: Any) -> StepSaver:
        return StepSaver(self.store, self.claim, "a", self.lane, codec or StepCodec(), **options)


async def _once(call: Callable[[], Awaitable[Any]]) -> Any:
    return await call()


@asynccontextmanager
async def _holding(url: str) -> AsyncIterator[Held]:
    store = AsyncTurnStore(Settings(redis_url=url))
    await store.submit("a", "foo", "hi")
    claim = await store.claim("a", "w", "n")
    assert isinstance(claim, Claim)
    try:
        yield Held(store, claim)
    finally:
        await close_async(url)


@pytest.fixture
async def held(redis_url: str) -> AsyncIterator[Held]:
    async with _holding(redis_url) as held:
        yield held


def _checkpoint(**state: Any) -> tuple[Any, Any]:
    versions = dict.fromkeys(state, "1")
    return {**empty_checkpoint(), "channel_values": state, "channel_versions": versions}, versions


async def _put(saver: StepSaver, **state: Any) -> Any:
    checkpoint, versions = _checkpoint(**state)
    return await saver.aput(CONFIG, checkpoint, {"source": "loop", "step": 1}, versions)


async def test_it_conforms(redis_url: str) -> None:
    @checkpointer_test(name="kept steps")
    async def steps() -> Any:
        async with _holding(redis_url) as held:
            await held.store.drop_steps(held.claim, "a", "")
            yield held.saver(keep_all=True)

    report = await validate(steps)
    assert report.passed_all_base(), {name: result.failures for name, result in report.results.items()}
    assert sum(result.tests_passed for result in report.results.values()) > 50


async def test_a_thread_of_a_graphs_own_choice_never_reaches_another_turns_steps(held: Held) -> None:
    await _put(held.saver(), topic="tea")
    other: Any = {"configurable": {"thread_id": "b", "checkpoint_ns": ""}}
    saver = held.saver()
    checkpoint, versions = _checkpoint(topic="milk")
    await saver.aput(other, checkpoint, {}, versions)
    assert await held.store.client.keys("turnstile:steps:*") == [b"turnstile:steps:a"]
    found = await saver.aget_tuple(other)
    assert found
    assert found.checkpoint["channel_values"] == {"topic": "milk"}


async def test_an_attempt_that_has_lost_its_turn_is_stopped_and_writes_nothing(held: Held) -> None:
    saver = held.saver()
    config = await _put(saver, topic="tea")
    await held.store.cancel("a")
    with pytest.raises(LaneClosed):
        await saver.aput_writes(config, [("topic", "milk")], "task")
    assert [type(error) for error in held.stopped] == [LaneClosed]
    with pytest.raises(LaneClosed):
        await _put(saver, topic="water")
    assert len(held.stopped) == 1
    assert not await held.store.client.exists("turnstile:steps:a")


async def test_a_closed_lane_takes_nothing_however_the_turn_stands(held: Held) -> None:
    saver = held.saver()
    config = await _put(saver, topic="tea")
    held.lane.close()
    with pytest.raises(LaneClosed):
        await saver.aput_writes(config, [("__error__", "cancelled")], "task")
    assert not held.stopped
    found = await held.saver().aget_tuple(CONFIG)
    assert found
    assert not found.pending_writes


async def test_the_messages_known_at_first_stay_known(held: Held) -> None:
    await _put(held.saver(known=["h1"]), topic="tea")
    again = held.saver(known=["h2"])
    await again.aget_tuple(CONFIG)
    assert again.known == ["h1"]


class Order(BaseModel):
    """A value of a state."""

    amount: int


@pytest.mark.parametrize(
    "value", [Order(amount=1), object(), lambda: 1, "x" * 17_000_000], ids=["type", "object", "code", "large"]
)
async def test_what_cannot_be_kept_is_refused_without_being_quoted(held: Held, value: Any) -> None:
    with pytest.raises(StepNotStorable) as refused:
        await _put(held.saver(), topic=value)
    assert len(str(refused.value)) < 200
    assert held.lane.closed
    assert held.stopped == [refused.value]


async def test_a_type_of_the_graphs_own_schema_is_kept(held: Held) -> None:
    codec = StepCodec([(Order.__module__, Order.__name__)])
    await _put(held.saver(codec), order=Order(amount=1), messages=[HumanMessage("hi", id="1")])
    found = await held.saver(codec).aget_tuple(CONFIG)
    assert found
    assert found.checkpoint["channel_values"] == {"order": Order(amount=1), "messages": [HumanMessage("hi", id="1")]}


@pytest.mark.parametrize("damage", [b"", b"msgpack\0\xc1", b"pickle\0x", b"msgpack\0\x01"])
async def test_damaged_steps_are_told(held: Held, damage: bytes) -> None:
    await _put(held.saver(), topic="tea")
    client: Any = held.store.client  # redis-py's types do not know that replies are bytes
    for field in await client.hkeys("turnstile:steps:a"):
        if field.startswith(b"checkpoint"):
            await client.hset("turnstile:steps:a", field, damage)
    with pytest.raises(StepsUnreadable):
        await held.saver().aget_tuple(CONFIG)
    assert held.lane.closed


async def test_steps_of_another_version_of_the_graph_are_told(held: Held) -> None:
    await _put(held.saver(nodes=["model", "tools"]), topic="tea")
    assert await held.saver(nodes=["model", "more", "tools"]).aget_tuple(CONFIG)
    with pytest.raises(StepsUnreadable):
        await held.saver(nodes=["model", "other"]).aget_tuple(CONFIG)


async def test_types_that_the_graph_no_longer_has_are_told(held: Held) -> None:
    await _put(held.saver(StepCodec([(Order.__module__, Order.__name__)])), order=Order(amount=1))
    with pytest.raises(StepsUnreadable):
        await held.saver().aget_tuple(CONFIG)


async def test_threads_of_a_graph_keep_and_read(held: Held) -> None:
    saver = held.saver()
    checkpoint, versions = _checkpoint(topic="tea")

    def work() -> Any:
        config = saver.put(CONFIG, checkpoint, {"source": "loop", "step": 1}, versions)
        saver.put_writes(config, [("topic", "milk")], "task")
        return saver.get_tuple(CONFIG), list(saver.list(CONFIG))

    found, listed = await asyncio.to_thread(work)
    assert found.pending_writes == [("task", "topic", "milk")]
    assert listed == [found]
    with pytest.raises(RuntimeError, match="event loop"):
        saver.get_tuple(CONFIG)
