"""Leases on a real server: turns that are taken away or cancelled, and attempts that outlive their lease."""

import asyncio
from contextlib import suppress

import pytest

from tests.support.wait import PATIENCE_SECONDS
from tests.support.worker_parts import (
    Flaky,
    chain,
    hanging,
    hello,
    started,
    taken_over,
)
from turnstile.turns.states import State
from turnstile.turns.turn import Claim
from turnstile.workers.attempt.attempt import Attempt
from turnstile.workers.attempt.report import LOST
from turnstile.workers.process import renewal
from turnstile.workers.process.leases import LeaseKeeper
from turnstile.workers.process.renewal import LeaseRenewal


class Pawn:
    """A turn that a keeper holds and drops."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.dropped: list[str] = []

    def drain(self) -> None:
        """Go on: nothing here has steps."""

    def drop(self, why: str) -> None:
        """Remember it."""
        self.dropped.append(why)


async def lease_of(store: Flaky) -> int:
    """Return the time at which the session's lease runs out."""
    return int(await store.client.hget(store.keys.session("foo"), "lease") or 0)


async def renewed(keeper: LeaseKeeper, store: Flaky) -> None:
    """Renew once, as the thread does."""
    loop = asyncio.get_running_loop()
    await asyncio.to_thread(LeaseRenewal(store.settings, keeper).renew, loop)


async def test_a_turn_that_was_taken_away_is_dropped_and_not_committed(flaky: Flaky) -> None:
    keeper, claim = LeaseKeeper(flaky, "w1"), await started(flaky, "a")
    attempt, task, model = await hanging(flaky, claim)
    with keeper.hold(attempt):
        await renewed(keeper, flaky)
        assert not model.left.is_set()
        other = await taken_over(flaky, claim)
        await renewed(keeper, flaky)
        await asyncio.wait_for(model.left.wait(), PATIENCE_SECONDS)
        assert (await task).status == LOST
    assert not {"finish", "requeue"} & set(flaky.calls)
    assert (await Attempt(other, chain(hello), flaky).run()).status == State.COMPLETED
    assert len(await flaky.history("foo")) == 2


async def test_an_order_to_drop_is_obeyed_at_once(flaky: Flaky) -> None:
    keeper, claim = LeaseKeeper(flaky, "w1"), await started(flaky, "a")
    listening = asyncio.create_task(keeper.listen(lambda: None))
    await keeper.listening.wait()
    attempt, task, model = await hanging(flaky, claim)
    with keeper.hold(attempt):
        assert await flaky.cancel("a") is State.CANCELLED
        await asyncio.wait_for(model.left.wait(), PATIENCE_SECONDS)
        assert (await task).status == State.CANCELLED
    listening.cancel()
    with suppress(asyncio.CancelledError):
        await listening
    assert not {"finish", "requeue"} & set(flaky.calls)


async def test_word_about_an_attempt_that_is_over_does_not_end_the_next_one(flaky: Flaky) -> None:
    keeper, claim = LeaseKeeper(flaky, "w1"), await started(flaky, "a")
    old, new = Pawn(claim), Pawn(await taken_over(flaky, claim))
    with keeper.hold(old):
        loop = asyncio.get_running_loop()
        LeaseRenewal(flaky.settings, keeper).renew(loop)
        # The word has come, and the loop has not heard it yet.
        keeper._held["a"] = new
        await asyncio.sleep(0)
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


async def test_a_loop_that_hangs_for_long_keeps_no_lease(
    flaky: Flaky, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    keeper, claim = LeaseKeeper(flaky, "w1"), await started(flaky, "a")
    renewing, loop = LeaseRenewal(flaky.settings, keeper), asyncio.get_running_loop()
    with keeper.hold(Pawn(claim)):
        monkeypatch.setattr(renewal, "HUNG_SECONDS", -1.0)
        lease = await lease_of(flaky)
        renewing.renew(loop)
        assert await lease_of(flaky) == lease
        monkeypatch.setattr(renewal, "HUNG_SECONDS", 60.0)
        renewing.renew(loop)
        assert await lease_of(flaky) > lease
    assert caplog.messages == ["the loop has not turned for -1 s: its leases run out"]
