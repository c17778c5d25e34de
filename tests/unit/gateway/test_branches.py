"""The pace of a tenant's branches."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from turnstile.producers.gateway.responses import branches
from turnstile.turns.errors import InvalidTurn, QueueUnreachable, QuotaExceeded
from turnstile.turns.store.acceptance import Submitted


async def follow(tenant: str, seconds: float, session: str = "branch", clock: list[float] | None = None) -> None:
    """A turn follows another one, which takes so long by the clock."""

    async def accepted() -> Submitted:
        if clock:
            clock[0] += seconds
        return cast("Submitted", SimpleNamespace(session=session))

    await branches.at_a_pace(tenant, "branch", accepted)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which a sleep takes on."""
    now = [1000.0]

    async def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(branches, "monotonic", lambda: now[0])
    monkeypatch.setattr(branches, "asyncio", SimpleNamespace(sleep=sleep, Semaphore=asyncio.Semaphore))
    monkeypatch.setattr(branches, "_paces", type(branches._paces)(branches._Pace))
    return now


@pytest.mark.parametrize(
    ("seconds", "session", "rest"),
    [(0.5, "branch", 1.5), (20.0, "branch", 3.0), (0.01, "branch", 0.0), (0.5, "the same", 0.0)],
)
async def test_a_long_copy_is_followed_by_a_rest(clock: list[float], seconds: float, session: str, rest: float) -> None:
    await follow("a", seconds, session, clock)
    before = clock[0]
    await follow("b", 0.0)
    assert clock[0] == before
    await follow("a", 0.0)
    assert clock[0] == pytest.approx(before + rest)


@pytest.mark.parametrize("error", [InvalidTurn("no"), QuotaExceeded("no"), QueueUnreachable(), asyncio.CancelledError()])
async def test_one_that_was_refused_is_followed_by_a_rest_too(clock: list[float], error: BaseException) -> None:
    async def refused() -> Submitted:
        clock[0] += 0.5
        raise error

    with pytest.raises(type(error)):
        await branches.at_a_pace("a", "branch", refused)
    before = clock[0]
    await follow("a", 0.0)
    assert clock[0] == pytest.approx(before + 1.5)


async def test_few_branches_of_a_tenant_are_made_at_once(clock: list[float]) -> None:
    under_way, most, go_on = 0, 0, asyncio.Event()

    async def wait() -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await go_on.wait()
        under_way -= 1
        return SimpleNamespace(session="branch")

    asked = [asyncio.ensure_future(branches.at_a_pace("a", "branch", wait)) for _ in range(20)]
    for _ in range(50):
        await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(*asked)
    assert most == branches._AT_ONCE
