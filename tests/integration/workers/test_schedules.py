"""Schedules and the workers that ask for their ticks."""

import asyncio
import logging
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import Worker
from tests.support.turns import ended
from turnstile.turns.redis.connection import close_async
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import AsyncTurnStore, TurnStore
from turnstile.workers.upkeep import schedules
from turnstile.workers.upkeep.schedules import ScheduleAsker

_MINUTES = "* * * * *"


def _questions(store: TurnStore) -> int:
    return store.stats().get("accepted", 0)


async def _look(settings: Settings, times: int = 1) -> None:
    """Let so many workers look at the same time."""
    stores = [AsyncTurnStore(settings) for _ in range(times)]
    await asyncio.gather(*(ScheduleAsker(store).look() for store in stores))
    await close_async(stores[0].url)


def _look_again(store: TurnStore) -> None:
    client: Any = store.client
    for member in client.zrange(store.keys.schedules_due, 0, -1):
        client.zadd(store.keys.schedules_due, {member: 1})


@pytest.mark.parametrize(("missed", "asked"), [("once", 1), ("all", 4), ("none", 0)])
async def test_missed_ticks_are_asked_by_the_rule(store: TurnStore, settings: Settings, missed: str, asked: int) -> None:
    now = store.now()
    # The ticks nearest to now are half an hour away.
    cron = f"{(int(now / 60) + 30) % 60} * * * *"
    store.schedule("m", "foo", "hi", cron=cron, now=now - 4 * 3600, missed=missed)
    for _ in range(asked + 2):
        await _look(settings, times=3)
        _look_again(store)
    assert _questions(store) == asked
    [left] = store.schedules()
    assert now < left.next < now + 3600


async def test_many_schedules_are_asked_once_by_many_workers(store: TurnStore, settings: Settings) -> None:
    for number in range(120):
        store.ask_later(f"a{number}", f"session{number % 7}", "hi", not_before=1)
    await _look(settings, times=5)
    assert _questions(store) == 120
    assert store.schedules() == []


async def test_a_rule_that_this_machine_cannot_read_is_left_to_others(
    store: TurnStore, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    store.schedule("m", "foo", "hi", cron=_MINUTES, now=1)
    store.ask_later("a", "foo", "hi", not_before=1)
    store.client.hset(store.keys.schedule("m"), "zone", "Nowhere/Atlantis")
    await _look(settings)
    assert _questions(store) == 1
    assert "schedule m cannot be asked" in caplog.text
    assert len(store.schedules()) == 1


async def test_a_session_that_cannot_be_read_holds_no_other_up(store: TurnStore, settings: Settings) -> None:
    for session in ("bar", "foo", "goo"):
        store.ask_later(session, session, "hi", not_before=1)
    store.client.set(store.keys.mailbox("bar"), "something else")
    store.client.set(store.keys.schedule("foo"), "something else")
    await _look(settings)
    assert store.status("goo").state is State.QUEUED


async def test_a_refusal_is_logged_without_the_question(
    store: TurnStore, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    store.ask_later("a", "foo", "a secret", not_before=1, when_busy="reject")
    store.submit("b", "foo", "hi")
    await _look(settings)
    assert "schedule a is refused (busy)" in caplog.text
    assert "secret" not in caplog.text


async def test_refusals_of_one_kind_are_a_line_a_minute(
    store: TurnStore, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    store.submit("b", "foo", "hi")
    for number in range(60):
        store.ask_later(f"a{number}", "foo", "hi", not_before=1, when_busy="reject")
    await _look(settings)
    assert [found.refused for found in store.schedules()] == ["busy"] * 60
    assert sum("is refused (busy)" in record.getMessage() for record in caplog.records) == 1


async def test_a_tenant_with_many_keeps_no_other_waiting(
    store: TurnStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "_ROUNDS", 4)
    for number in range(220):
        store.ask_later(f"a{number}", f"acme/{number}", "hi", not_before=1)
    store.ask_later("z", "zoo/1", "hi", not_before=2)
    asker = ScheduleAsker(AsyncTurnStore(settings))
    await asker.look()
    assert store.schedules("zoo/1") == []
    for _ in range(2):
        await asker.look()
    assert store.schedules() == []
    assert _questions(store) == 221


def test_an_answer_lands_in_the_same_conversation(store: TurnStore, redis_url: str, tmp_path: Path, model: str) -> None:
    store.submit("first", "foo", "Hi! I'm bob")
    store.ask_later("later", "foo", "who am I?", not_before=time.time() + 2)
    assert store.status("later").state is State.QUEUED
    with Worker(redis_url, tmp_path, OPENAI_BASE_URL=model), Worker(redis_url, tmp_path, OPENAI_BASE_URL=model):
        record = ended(store, "later")
    assert record.state is State.COMPLETED
    assert "Bob" in record.text
    assert len(store.history("foo")) == 4
