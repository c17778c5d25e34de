"""The upkeep by each worker: presence check, sweep and audit, of which none waits for another."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import pytest
import redis

from tests.support.wait import wait_until_async
from tests.support.worker_parts import Flaky, make_due, started
from turnstile.turns.asyncio_tasks import end_all
from turnstile.turns.redis.connection import close_async
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.audit import audit
from turnstile.turns.store.turns import AsyncTurnStore, TurnStore
from turnstile.workers.process.health import Health
from turnstile.workers.process.service import start_all
from turnstile.workers.process.services import upkeep
from turnstile.workers.upkeep.sweep import sweep

AHEAD = 4_000_000_000


@pytest.fixture
def limited(client: redis.Redis, redis_url: str) -> Iterator[Callable[..., Settings]]:
    """Yield settings of a user without some rights."""

    def make(*rules: str) -> Settings:
        client.execute_command("ACL", "SETUSER", "limited", "on", ">secret", "allkeys", "allchannels", "+@all", *rules)  # type: ignore[no-untyped-call]  # untyped in redis-py
        return Settings(redis_url=redis_url.replace("//", "//limited:secret@"))

    yield make
    client.execute_command("ACL", "DELUSER", "limited")  # type: ignore[no-untyped-call]  # untyped in redis-py


@asynccontextmanager
async def _upkeep(settings: Settings, health: Health) -> AsyncIterator[None]:
    store = AsyncTurnStore(settings)
    tasks = start_all([replace(service, patience=1) for service in upkeep(store, "w2", lambda _: None)], health)
    try:
        yield
    finally:
        await end_all(tasks)
        await close_async(store.url)


def _leave_a_dead_worker(store: TurnStore) -> None:
    """One that was heard long ago, and holds a turn whose lease has run out, and one that has not."""
    for id in ("overdue", "running"):
        store.submit(id, f"of-{id}", "question")
        store.claim(id, "w1", "n")
    store.client.hset(store.keys.session("of-overdue"), "lease", 1)
    store.client.zadd(store.keys.due, {"of-overdue": 1})
    store.client.zadd(store.keys.heard, {"w1": 1})


async def test_the_dead_are_found(store: TurnStore, settings: Settings) -> None:
    _leave_a_dead_worker(store)
    async with _upkeep(settings, Health()):
        for id in ("overdue", "running"):
            await wait_until_async(lambda id=id: _is(store, id, State.QUEUED), f"the turn {id} was taken back")  # type: ignore[misc]  # a lambda's default


async def test_a_presence_check_that_is_refused_stops_no_sweep_and_is_told_once(
    store: TurnStore, limited: Callable[..., Settings], caplog: pytest.LogCaptureFixture
) -> None:
    _leave_a_dead_worker(store)
    health = Health()
    with caplog.at_level(logging.WARNING):
        async with _upkeep(limited("-pubsub|numsub"), health):
            await wait_until_async(lambda: _is(store, "overdue", State.QUEUED), "the turn was taken back")
            await wait_until_async(lambda: _stale(health), "the presence check is seen to make no progress")
            await wait_until_async(lambda: _fresh(health), "the sweep makes progress")
    lines = [record.getMessage() for record in caplog.records if "check presence" in record.getMessage()]
    assert len(lines) == 1
    assert "pubsub|numsub" in lines[0]
    assert store.status("running").state is State.RUNNING


async def test_a_sweep_that_is_refused_stops_no_presence_check(store: TurnStore, limited: Callable[..., Settings]) -> None:
    _leave_a_dead_worker(store)
    async with _upkeep(limited("-llen"), Health()):
        await wait_until_async(lambda: _gone(store), "the dead worker is not registered any more")


async def _is(store: TurnStore, id: str, state: State) -> bool:
    return (await asyncio.to_thread(store.status, id)).state is state


async def _gone(store: TurnStore) -> bool:
    return await asyncio.to_thread(store.client.zscore, store.keys.heard, "w1") is None


async def _stale(health: Health) -> bool:
    return "presence" in health.stale()


async def _fresh(health: Health) -> bool:
    return "sweeping" not in health.stale()


async def test_one_sweep_finds_all_that_is_overdue(flaky: Flaky) -> None:
    names = [f"s{number}" for number in range(230)]
    await flaky.client.hset(flaky.keys.stats, "standing", 230)
    for name in names:
        await started(flaky, name, name)
        await flaky.client.hset(flaky.keys.session(name), "lease", "1")
    await make_due(flaky, *names)
    await sweep(flaky)
    assert (await flaky.stats())["recovered"] == 230


async def test_what_an_erase_has_left_is_removed(store: TurnStore, settings: Settings) -> None:
    pipeline = store.client.pipeline(transaction=False)
    record = {"session": "foo", "state": "completed", "queue": "chat"}
    for number in range(1_500):
        pipeline.zadd(store.keys.turns("foo"), {f"t{number}": number})
        pipeline.hset(store.keys.turn(f"t{number}"), mapping=record)  # type: ignore[arg-type]  # its stub takes less
    pipeline.execute()
    assert store.erase("foo") == (1_500, 0)
    assert await _count(store) == 500
    async with _upkeep(settings, Health()):
        await wait_until_async(lambda: _none(store), "no record is left")


async def _count(store: TurnStore) -> int:
    return len(await asyncio.to_thread(store.client.keys, store.keys.turn("*")))


async def _none(store: TurnStore) -> bool:
    return await _count(store) == 0


async def test_a_lost_due_entry_is_restored(flaky: Flaky) -> None:
    await flaky.submit("a", "foo", "hi")
    await started(flaky, "b", "bar")
    await flaky.client.zrem(flaky.keys.due, "foo")
    assert await audit(flaky, now=True) == 1
    assert await audit(flaky, now=True) == 0
    assert await flaky.client.zcard(flaky.keys.due) == 2


async def test_an_audit_gives_back_the_bytes_of_schedules_that_are_gone(flaky: Flaky) -> None:
    for id in ("living", "gone"):
        await flaky.ask_later(id, "a/1", "x" * 2_000, not_before=AHEAD)
    account = flaky.keys.scheduled_bytes("a")
    counted = cast("Any", await flaky.client.hgetall(account))
    await flaky.remove_schedule("gone")
    # So a worker of an older version leaves it.
    await flaky.client.hset(account, mapping=counted)
    assert [await audit(flaky, now=True) for _ in range(2)] == [1, 0]
    await flaky.claim_schedules()
    assert set(await flaky.client.hgetall(account)) == {b"", b"a/1 living"}
    await flaky.client.delete(account)
    assert await audit(flaky, now=True) == 0
    assert set(await flaky.client.hgetall(account)) == {b"", b"a/1 living"}


async def test_an_audit_computes_ticks_anew_that_a_clock_ahead_has_noted(flaky: Flaky) -> None:
    for id, zone in (("a", "Europe/Paris"), ("b", "UTC")):
        await flaky.schedule(id, "foo", "hi", cron="* * * * *", now=AHEAD, time_zone=zone)
        await flaky.client.hset(flaky.keys.schedule(id), mapping={"noted": AHEAD * 1000})
    await flaky.client.hset(flaky.keys.schedule("a"), mapping={"zone": "Nowhere/Else"})
    await flaky.client.set(flaky.keys.schedule("c"), "of another type")
    assert await audit(flaky, now=True) == 0
    ticks = {schedule.id: schedule.next for schedule in await flaky.schedules()}
    assert ticks["a"] > AHEAD > ticks["b"]
