"""A clock that is set back by an hour, or forward: nobody is stuck, and nothing is doubled."""

from typing import Any

import pytest
import redis

from tests.scripts.clock import set_clock
from tests.scripts.model_calls import call, claims, give_back
from tests.scripts.scene import Scene, pair
from tests.scripts.tenants import ask, claim_all, have_slots
from turnstile.turns.api_keys import Limits
from turnstile.turns.errors import QuotaExceeded
from turnstile.turns.question import Options
from turnstile.turns.schedules import next_tick
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.budgets import CallEnd, CallLimits
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.store.working import Outcome

AN_HOUR = 3_600
NOON = 1_800_000_000


@pytest.fixture
def early(redis_url: str, client: redis.Redis) -> Scene:
    """Return a scene whose clock is an hour ahead of noon, and is set back by `_set_back`."""
    scene = Scene(TurnStore(Settings(redis_url=redis_url)), client)
    set_clock(scene.turns, NOON + AN_HOUR)
    scene.turns.reap("w1")
    return scene


def _set_back(scene: Scene, seconds: int = 0) -> None:
    """Let it be noon, and workers be heard; then let time pass."""
    for after in (0, seconds):
        set_clock(scene.turns, NOON + after)
        scene.turns.reap("w1")


def test_a_key_that_has_made_its_requests_may_make_others(early: Scene) -> None:
    admitted = [early.turns.count_request("k", 2).admitted for _ in range(3)]
    _set_back(early)
    assert [*admitted, early.turns.count_request("k", 2).admitted] == [True, True, False, True]
    assert 0 < early.client.pttl(early.keys.rate("k")) <= 60_000


def test_a_tenant_that_has_spent_its_tokens_gets_others(early: Scene) -> None:
    quotas = Limits(tokens_per_minute=100).quotas
    for number in (1, 2):
        ask(early, "a", 1, first=number, quotas=quotas)
        [claim] = claim_all(early)
        early.turns.finish(claim, Outcome(State.COMPLETED, usage={"input_tokens": 500, "output_tokens": 0}), pair(claim.id))
        if number == 1:
            with pytest.raises(QuotaExceeded):
                ask(early, "a", 1, first=2, quotas=quotas)
            _set_back(early)
    with pytest.raises(QuotaExceeded) as caught:
        ask(early, "a", 1, first=3, quotas=quotas)
    assert caught.value.wait <= 300


@pytest.mark.parametrize("paused", [True, False])
def test_turns_that_wait_for_a_model_are_sent(early: Scene, paused: bool) -> None:
    waiting, limits = claims(early, 5), CallLimits(requests=60)
    for number, claim in enumerate(waiting[1:]):
        early.turns.reserve_call(call(waiting[0], number), limits)
        give_back(early, claim)
    if paused:
        early.turns.settle_call(call(waiting[0], 0), CallEnd("limited", pause=30))
    early.complete(waiting[0])
    early.turns.sweep()
    _set_back(early)
    sent = []
    for second in range(20):
        set_clock(early.turns, NOON + second)
        early.turns.sweep()
        for claim in map(early.claim, iter(early.pop, None)):
            if early.turns.reserve_call(call(claim), limits).granted:
                early.complete(claim)
                sent.append(claim.id)
            else:
                give_back(early, claim)
    assert sorted(sent) == [claim.id for claim in waiting[1:]]


def test_a_webhook_is_delivered(early: Scene) -> None:
    for id in "ab":
        early.submit(id, session=id, options=Options(webhook={"url": "https://example.org/hook", "key": "k"}))
        early.turns.cancel(id)
    early.client.delete("webhooks")
    early.turns.claim_webhook("b")
    _set_back(early, 3_500)
    assert early.turns.retry_webhooks()[:2] == (2, 1)


def test_a_batch_is_worked_on(early: Scene) -> None:
    for batch, owner in (("owned", "gone"), ("waiting", None)):
        early.turns.create_file("", batch, "x.jsonl")
        early.turns.append_piece("", batch, 0, 0, b"x", last=True)
        early.turns.create_batch("", batch, batch, "{}", batch, 60)
        assert owner is None or early.turns.claim_batch(owner) == batch
    _set_back(early)
    assert early.turns.claim_batch("early") is None
    _set_back(early, 300)
    assert {early.turns.claim_batch(token) for token in ("one", "two")} == {"owned", "waiting"}
    assert early.turns.claim_batch("three") is None


def test_a_tenant_alone_has_all_slots(early: Scene) -> None:
    have_slots(early, 8)
    ask(early, "a", 1)
    ask(early, "b", 8)
    claim_all(early)
    _set_back(early)
    ask(early, "c", 8)
    assert len(claim_all(early)) == 8


def test_streams_that_nobody_hears_of_are_closed(early: Scene) -> None:
    assert early.turns.open_stream("a", "gone", 1)
    _set_back(early)
    assert early.turns.open_stream("a", "next", 1)
    assert not early.turns.open_stream("a", "third", 1)


def test_whoever_works_while_the_clock_leaps_forward_and_back_keeps_its_turn(redis_url: str, client: Any) -> None:
    scene = Scene(TurnStore(Settings(redis_url=redis_url)), client)
    set_clock(scene.turns, NOON)
    scene.turns.reap("w1")
    kept, ended = scene.start("a"), scene.start("b", session="bar")
    scene.submit("next")
    for after in (AN_HOUR, 1):
        set_clock(scene.turns, NOON + after)
        scene.turns.reap("w2")
        assert scene.turns.sweep().recovered == 0
        assert scene.turns.renew("w1", [kept, ended]) == ["kept", "kept"]
    assert scene.complete(ended) is scene.complete(kept) is State.COMPLETED
    assert scene.pop() == "next"
    assert scene.history() == pair("a")


def _ask_in_time(store: TurnStore) -> list[str]:
    """Let an audit find what is put off, and ask whatever is due then; return the schedules that have asked."""
    for id in ("hourly", "later"):
        if (found := store.audit_schedule(id)).ahead:
            store.audit_schedule(id, found.ahead, next_tick(found.ahead.cron, "UTC", found.now), found.now)
    now, due, _ = store.claim_schedules()
    for tick in due:
        assert store.ask_scheduled(tick, tick.step(now)[1], now=now) == ""
    return [tick.schedule for tick in due]


@pytest.mark.parametrize("asked", [False, True])
def test_a_schedule_asks_after_a_clock_was_ahead(early: Scene, asked: bool) -> None:
    early.turns.schedule("hourly", "foo", "hi", cron="0 * * * *", now=NOON if asked else NOON + AN_HOUR)
    if asked:
        assert _ask_in_time(early.turns) == ["hourly"]
    assert early.turns.schedules()[0].next == NOON + 2 * AN_HOUR
    _set_back(early, 60)
    assert _ask_in_time(early.turns) == []
    assert early.turns.schedules()[0].next == NOON + AN_HOUR
    set_clock(early.turns, NOON + AN_HOUR)
    assert _ask_in_time(early.turns) == ["hourly"]
    assert early.turns.schedules()[0].next == NOON + 2 * AN_HOUR
    assert _ask_in_time(early.turns) == []
    assert early.turns.status(f"hourly-{(NOON + AN_HOUR) * 1000}").state is State.QUEUED


def test_a_schedule_that_was_taken_by_a_clock_that_was_ahead_is_asked(redis_url: str, client: redis.Redis) -> None:
    scene = Scene(TurnStore(Settings(redis_url=redis_url)), client)
    set_clock(scene.turns, NOON + 2 * AN_HOUR)
    scene.turns.ask_later("later", "foo", "hi", not_before=NOON)
    assert len(scene.turns.claim_schedules()[1]) == 1
    set_clock(scene.turns, NOON)
    assert _ask_in_time(scene.turns) == ["later"]


def test_an_audit_puts_nothing_forward(early: Scene) -> None:
    early.turns.schedule("hourly", "foo", "hi", cron="0 * * * *", now=NOON + AN_HOUR)
    early.turns.ask_later("later", "foo", "hi", not_before=NOON + 9 * AN_HOUR)
    before = early.client.zrange(early.keys.schedules_due, 0, -1, withscores=True)
    assert _ask_in_time(early.turns) == []
    assert early.client.zrange(early.keys.schedules_due, 0, -1, withscores=True) == before


def test_a_tick_that_was_asked_meanwhile_is_not_computed_again(early: Scene) -> None:
    early.turns.schedule("hourly", "foo", "hi", cron="0 * * * *", now=NOON + AN_HOUR)
    _set_back(early)
    ahead = early.turns.audit_schedule("hourly").ahead
    assert ahead
    following = (NOON + AN_HOUR) * 1000
    early.turns.audit_schedule("hourly", ahead, following, NOON * 1000)
    assert early.turns.audit_schedule("hourly", ahead, following + 1, NOON * 1000).ahead is None
    assert early.turns.schedules()[0].next == NOON + AN_HOUR
