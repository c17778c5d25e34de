"""Ends of outages: which answers show that a model's server is back, and how often those who wait are sent on."""

import asyncio
from time import monotonic
from typing import Any, cast

import pytest

from turnstile.turns.errors import QueueUnreachable
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.workers.attempt import recovery
from turnstile.workers.attempt.recovery import Recoveries

KIND = " gpt"


class Store:
    """A store that notes which kinds are sent on, of which so many are left."""

    def __init__(self, left: int = 0) -> None:
        self.settings = Settings(retry_base_seconds=1, retry_max_seconds=10)
        self.sent: list[str] = []
        self.left = left
        self.broken = False

    async def end_outage(self, kind: str, limit: int) -> int:
        await asyncio.sleep(0)
        if self.broken:
            raise QueueUnreachable("away")
        self.sent.append(kind)
        self.left = max(0, self.left - limit)
        return self.left


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = monotonic()
        monkeypatch.setattr(recovery, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def found(store: Store) -> Recoveries:
    return Recoveries(cast("AsyncTurnStore", cast("Any", store)))


async def answered(recoveries: Recoveries, clock: Clock, kind: str = KIND, seconds: float = 0) -> None:
    """Let a turn be answered whose attempt began so many seconds ago."""
    recoveries.end(kind, clock.now - seconds)
    for _ in range(20):
        await asyncio.sleep(0)


async def test_an_answer_sends_on_whoever_waits_once(clock: Clock) -> None:
    recoveries = found(store := Store())
    await answered(recoveries, clock)
    assert store.sent == [], "it was never away"
    recoveries.begin(KIND, "acme")
    for _ in range(3):
        clock.now += 5
        await answered(recoveries, clock)
    assert store.sent == [KIND]


async def test_a_request_that_is_older_than_the_outage_shows_nothing(clock: Clock) -> None:
    recoveries = found(store := Store())
    recoveries.begin(KIND, "acme")
    clock.now += 5
    await answered(recoveries, clock, seconds=6)
    assert store.sent == []
    await answered(recoveries, clock, seconds=4)
    assert store.sent == [KIND]


async def test_another_model_shows_nothing(clock: Clock) -> None:
    recoveries = found(store := Store())
    recoveries.begin(KIND, "acme")
    await answered(recoveries, clock, "fast gpt")
    assert store.sent == []


async def test_a_server_that_comes_and_goes_sends_on_less_and_less_often(clock: Clock) -> None:
    recoveries, began = found(store := Store()), clock.now
    times: list[float] = []
    while clock.now < began + 60:
        recoveries.begin(KIND, "acme")
        clock.now += 0.25
        await answered(recoveries, clock)
        if len(store.sent) > len(times):
            times.append(clock.now - began)
    assert times == [0.25, 1.25, 3.25, 7.25, 15.25, 25.25, 35.25, 45.25, 55.25]


async def test_after_a_while_an_outage_is_a_new_one(clock: Clock) -> None:
    recoveries = found(store := Store())
    for pause in (1, 1, 30, 1):
        clock.now += pause
        recoveries.begin(KIND, "acme")
        await answered(recoveries, clock)
    assert len(store.sent) == 4


async def test_all_who_wait_are_sent_on_and_those_who_wait_anew_are_not(clock: Clock) -> None:
    recoveries = found(store := Store(left=250))
    recoveries.begin(KIND, "acme")
    await answered(recoveries, clock)
    assert len(store.sent) == 3


async def test_who_finds_the_server_away_meanwhile_sends_on_nobody_more(clock: Clock) -> None:
    recoveries = found(store := Store(left=10_000))
    recoveries.begin(KIND, "acme")
    recoveries.end(KIND, clock.now)
    await asyncio.sleep(0)
    recoveries.begin(KIND, "acme")
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(store.sent) == 1


async def test_without_redis_nothing_is_raised(clock: Clock) -> None:
    recoveries = found(store := Store())
    store.broken = True
    recoveries.begin(KIND, "acme")
    await answered(recoveries, clock)
    assert store.sent == []


async def test_names_of_one_tenant_hide_no_end_of_an_outage_from_others(clock: Clock) -> None:
    recoveries = found(store := Store())
    for tenant in ("many", "acme"):
        recoveries.begin(KIND, tenant)
    recoveries.begin(" llama", "acme")
    for number in range(3_000):
        recoveries.begin(f" model-{number}", "many")
    clock.now += 5
    for kind in (KIND, " llama", " model-2999"):
        await answered(recoveries, clock, kind)
    assert store.sent == [KIND, " llama", " model-2999"]


async def test_the_kinds_that_are_remembered_are_bounded(clock: Clock) -> None:
    recoveries = found(Store())
    for number in range(5_000):
        recoveries.begin(f" model-{number}", "many")
        recoveries.begin(KIND, "many")
    assert len(recoveries._found) <= 1_000
    assert KIND in recoveries._found
