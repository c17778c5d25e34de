"""Time of the event loop, charged to tenants."""

import asyncio
from time import monotonic, thread_time

import pytest

from turnstile.producers.gateway.edge import loop_accounts
from turnstile.producers.gateway.edge.loop_accounts import Account, account_of
from turnstile.producers.gateway.edge.loop_time import LongWork, loop_account, metered

LONG = 0.3


def compute(seconds: float) -> None:
    """Keep the event loop busy."""
    began = thread_time()
    while thread_time() - began < seconds:
        pass


async def pieces(seconds: float, count: int) -> str:
    for _ in range(count):
        compute(seconds)
        await asyncio.sleep(0)
    return "done"


@pytest.fixture
async def account() -> Account:
    account = Account()
    loop_account.set(account)
    return account


async def serve(account: Account, seconds: float, count: int = 1) -> str:
    loop_account.set(account)
    return await metered(pieces(seconds, count))


async def test_long_pieces_are_charged_and_short_ones_are_free() -> None:
    account = Account()
    assert await serve(account, 0.0005, 400) == "done"
    assert not account.rests
    began = monotonic()
    assert await serve(account, LONG) == "done"
    assert account._rested > began + 3 * LONG


async def test_a_tenant_within_its_allowance_does_not_wait() -> None:
    account = Account()
    account.charge(0.2)
    with pytest.raises(StopIteration):
        account.go_on().send(None)


async def test_a_tenant_that_rests_goes_on_with_one_thing_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(loop_accounts, "monotonic", lambda: now[0])
    account = Account()
    account.charge(0.5)
    went: list[int] = []

    async def go(number: int) -> None:
        await account.go_on()
        went.append(number)
        account.charge(0.5)

    waiting = [asyncio.create_task(go(number)) for number in range(3)]
    for number in range(3):
        while len(went) == number:
            now[0] += 0.25
            await asyncio.sleep(0.01)
        assert account.owed > 0
    await asyncio.gather(*waiting)
    assert went == [0, 1, 2]


async def test_tenants_have_accounts_of_their_own() -> None:
    account_of("greedy").charge(1.0)
    assert account_of("greedy").rests
    assert not account_of("other").rests


async def test_errors_and_cancellation_reach_what_is_metered(account: Account) -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(600)
        finally:
            ended.append("work")

    task = asyncio.create_task(metered(work()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["work"]
    with pytest.raises(ZeroDivisionError):
        await metered(asyncio.wait_for(_fail(), 10))
    assert not account.rests


async def _fail() -> None:
    await asyncio.sleep(0)
    raise ZeroDivisionError


async def test_others_come_between_the_pieces_of_long_work() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other, work = asyncio.create_task(count()), LongWork()
    for _ in range(5):
        compute(0.03)
        await work.pause()
    other.cancel()
    assert turns >= 5
