"""reserve_call, settle_call, and turns that wait for a place in a model's budget."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.scripts.conftest import Memory, Stage
from tests.scripts.scene import Scene
from turnstile.turns.question import Options
from turnstile.turns.states import State
from turnstile.turns.store.budgets import CallEnd, CallLimits, ModelCall, Slot
from turnstile.turns.turn import Claim

MODEL = "gpt@1234"
NONE = CallLimits()
ANSWERED, LIMITED = CallEnd("answered"), CallEnd("limited")


def call(claim: Claim, number: int = 1, tokens: int = 10) -> ModelCall:
    return ModelCall(claim, number, MODEL, tokens)


def claims(scene: Scene, count: int, tenant: str = "a") -> list[Claim]:
    """Turns at work, each in a session of its own."""
    scene.let_stand(1_000)
    return [scene.start(f"{tenant}{n}", session=f"{tenant}/{n}") for n in range(count)]


def give_back(scene: Scene, claim: Claim, tokens: int = 10) -> None:
    """Let a turn wait for the model."""
    assert scene.turns.requeue(claim, forgive=True, code="over_budget", waits_for=MODEL, tokens=tokens)


def pass_time(scene: Scene, ms: int) -> None:
    """Let time pass for the budget: what was noted lies further back."""
    for field in ("requests_spent", "tokens_spent", "paused"):
        if (value := scene.client.hget(scene.keys.budget(MODEL), field)) is not None:
            scene.client.hset(scene.keys.budget(MODEL), field, float(value) - ms)
    for key in (scene.keys.calls(MODEL), scene.keys.promised(MODEL)):
        for member, at in scene.client.zrange(key, 0, -1, withscores=True):
            scene.client.zadd(key, {member: at - ms})


def waits(scene: Scene, limits: CallLimits, count: int) -> list[float | None]:
    """The replies to so many turns, one after another, when each asks for a call."""
    return [scene.turns.reserve_call(call(claim), limits).wait for claim in claims(scene, count)]


def test_a_model_without_limits_costs_nothing(scene: Scene) -> None:
    [claim] = claims(scene, 1)
    before = scene.picture()
    assert scene.turns.reserve_call(call(claim), NONE) == Slot(True, 0)
    scene.turns.settle_call(call(claim), CallEnd("answered", tokens=5, limit_requests=60, left_requests=3))
    assert scene.picture() == before


def test_calls_are_spread_over_the_minute(scene: Scene) -> None:
    found = waits(scene, CallLimits(requests=60), 5)
    assert found[:2] == [0, 0]
    assert found[2] == pytest.approx(0.86, abs=0.3)
    assert found[3] == pytest.approx(1.89, abs=0.3)
    assert found[4] == pytest.approx(1.89, abs=0.3)


def test_no_minute_holds_more_than_a_minutes_worth(scene: Scene) -> None:
    [claim] = claims(scene, 1)
    began, passed, limits = list[tuple[float, float]](), 0, CallLimits(requests=60)
    for number in range(150):
        while True:
            before = scene.turns.now() * 1000 + passed
            slot = scene.turns.reserve_call(call(claim, number), limits)
            if slot.granted:
                break
            assert slot.wait
            passed += round(slot.wait * 1000) + 1
            pass_time(scene, round(slot.wait * 1000) + 1)
        wait = (slot.wait or 0) * 1000
        # The call was counted between these two moments.
        began.append((before + wait, scene.turns.now() * 1000 + passed + wait))
    assert all(later[1] - earlier[0] >= 60_000 for earlier, later in zip(began, began[60:], strict=False))
    assert (began[149][1] - began[0][0]) < 149 * 1_000 / 0.95 + 15_000


def test_those_who_wait_go_before_one_that_comes_when_there_is_a_place(scene: Scene) -> None:
    limits = CallLimits(requests=60)
    for claim in claims(scene, 6):
        if not scene.turns.reserve_call(call(claim), limits).granted:
            give_back(scene, claim)
    pass_time(scene, 5_000)
    [late] = claims(scene, 1, tenant="late")
    assert not scene.turns.reserve_call(call(late), limits).granted


def test_tokens_are_counted_and_corrected(scene: Scene) -> None:
    limits = CallLimits(tokens=6_000)
    one, two = claims(scene, 2)
    assert scene.turns.reserve_call(call(one, tokens=3_000), limits) == Slot(True, 0)
    assert scene.turns.reserve_call(call(two), limits).wait == pytest.approx(29.7, abs=0.3)
    scene.turns.settle_call(call(one, tokens=3_000), CallEnd("answered", tokens=200))
    slot = scene.turns.reserve_call(call(two), limits)
    assert slot.granted
    assert slot.wait == pytest.approx(0.86, abs=0.3)


def test_no_estimate_takes_more_than_a_minute(scene: Scene) -> None:
    one, two = claims(scene, 2)
    limits = CallLimits(tokens=6_000)
    assert scene.turns.reserve_call(call(one, tokens=2_000_000), limits) == Slot(True, 0)
    assert scene.turns.reserve_call(call(two), limits).wait == pytest.approx(60, abs=1)
    scene.turns.settle_call(call(one, tokens=2_000_000), CallEnd("answered", tokens=3_000))
    assert scene.turns.reserve_call(call(two), limits).wait == pytest.approx(30, abs=1)


def test_a_call_is_corrected_once(scene: Scene) -> None:
    limits = CallLimits(tokens=6_000)
    [claim] = claims(scene, 1)
    scene.turns.reserve_call(call(claim, tokens=3_000), limits)
    for _ in range(2):
        scene.turns.settle_call(call(claim, tokens=3_000), CallEnd("answered", tokens=3_000))
        scene.turns.settle_call(call(claim, tokens=3_000), CallEnd("answered", tokens=9_000))
    assert scene.turns.reserve_call(call(claim, 2), limits).wait == pytest.approx(29.7, abs=0.3)


def test_so_many_at_once(scene: Scene) -> None:
    limits = CallLimits(concurrent=2)
    one, two, three = claims(scene, 3)
    assert [scene.turns.reserve_call(call(claim), limits) for claim in (one, two, three)] == [
        Slot(True),
        Slot(True),
        Slot(False, None),
    ]
    scene.turns.settle_call(call(one), ANSWERED)
    assert scene.turns.reserve_call(call(three), limits).granted


def test_a_tenant_leaves_calls_to_others(scene: Scene) -> None:
    limits = CallLimits(concurrent=4)
    slow, other = claims(scene, 4), claims(scene, 2, "b")
    granted = [scene.turns.reserve_call(call(claim), limits).granted for claim in (*slow, *other)]
    assert granted == [True, True, True, False, True, False]
    scene.turns.settle_call(call(slow[0]), ANSWERED)
    assert [scene.turns.reserve_call(call(claim), limits).granted for claim in (slow[3], other[1])] == [True, False]


def test_a_tenant_alone_has_all_calls(scene: Scene) -> None:
    limits = CallLimits(concurrent=4)
    assert [scene.turns.reserve_call(call(claim), limits).granted for claim in claims(scene, 5)] == [True] * 4 + [False]


def test_who_waits_for_a_call_is_not_forgotten(scene: Scene) -> None:
    limits = CallLimits(concurrent=4)
    slow, [other] = claims(scene, 5), claims(scene, 1, "b")
    for claim in slow[:3]:
        scene.turns.reserve_call(call(claim), limits)
    give_back(scene, other)
    give_back(scene, slow[3])
    assert scene.pop("chat") == other.id
    scene.client.zrem(scene.keys.tenants, "b")
    scene.client.hset(scene.keys.turn(slow[3].id), "waits_since", 1)
    scene.turns.settle_call(call(slow[4]), ANSWERED)
    assert scene.pop("chat") is None


def test_a_call_of_a_dead_worker_is_none(scene: Scene) -> None:
    limits = CallLimits(concurrent=1)
    one, two = claims(scene, 2)
    scene.turns.reserve_call(call(one), limits)
    assert not scene.turns.reserve_call(call(two), limits).granted
    scene.lose("a/0")
    assert scene.turns.reserve_call(call(two), limits).granted


def test_a_repeat_gets_the_same_slot(scene: Scene) -> None:
    limits = CallLimits(requests=60)
    [claim] = claims(scene, 1)
    scene.turns.reserve_call(call(claim), limits)
    before = scene.picture()
    assert scene.turns.reserve_call(call(claim), limits) == Slot(True, 0)
    assert scene.picture() == before


def test_who_is_over_the_budget_holds_nothing_and_keeps_its_place(scene: Scene) -> None:
    *_, last = claims(scene, 4)
    scene.submit("next", session="a/3")
    for number in range(4):
        slot = scene.turns.reserve_call(call(last, number), CallLimits(requests=60))
    assert not slot.granted
    give_back(scene, last)
    assert scene.state("a3") is State.QUEUED
    assert scene.turns.status("a3").waits_for == "gpt"
    assert scene.events("a3")[-1] == (2, "waiting", 1, "gpt")
    assert not {"owner", "lease", "worker"} & scene.seat("a/3").keys()
    assert scene.waiting("a/3") == ["next"]
    assert scene.queue() == []
    assert scene.turns.claim("a3", "w1", "n") == "stale"


def park(scene: Scene, count: int, tenant: str = "a", limits: CallLimits = CallLimits(requests=60)) -> None:  # noqa: B008
    """Let turns wait for the model, which has nothing left."""
    for claim in claims(scene, count, tenant):
        for number in range(4):
            slot = scene.turns.reserve_call(call(claim, number), limits)
        assert not slot.granted
        give_back(scene, claim)


def served(scene: Scene, queue: str = "chat") -> Iterator[str]:
    """Yield turns in the order in which they are sent as time passes."""
    while True:
        scene.turns.sweep()
        if id := scene.pop(queue):
            claim = scene.claim(id)
            assert scene.turns.reserve_call(call(claim), CallLimits(requests=60)).granted
            yield id
        elif not scene.client.keys(scene.keys.rotation("*@*")):
            return
        else:
            pass_time(scene, 500)


def test_each_is_sent_for_its_slot_once(scene: Scene) -> None:
    park(scene, 6)
    assert list(served(scene)) == [f"a{n}" for n in range(6)]
    record = scene.turns.status("a5")
    assert (record.dispatches, record.attempts, record.waits_for) == (2, 2, None)
    assert scene.client.keys(scene.keys.ready("*")) == scene.client.keys(scene.keys.rotation("*")) == []
    assert scene.client.zcard(scene.keys.promised(MODEL)) == 0


def test_a_wait_costs_no_attempt_and_no_deadline(stage: Stage) -> None:
    scene = stage.open(max_attempts=1)
    park(scene, 1)
    scene.client.hincrby(scene.keys.turn("a0"), "started", -600_000)
    scene.client.hincrby(scene.keys.turn("a0"), "waits_since", -590_000)
    assert list(served(scene)) == ["a0"]
    [claim] = [scene.turns.status("a0")]
    assert claim.started
    assert scene.turns.now() - claim.started < 30


def test_tenants_take_turns(scene: Scene) -> None:
    park(scene, 5, "a")
    park(scene, 2, "b")
    assert [id[0] for id in served(scene)] in (list("ababaaa"), list("aababaa"), list("babaaaa"))


def test_batches_have_a_share(scene: Scene) -> None:
    scene.let_stand(1_000)
    park(scene, 8, "a")
    for n in range(3):
        scene.submit(f"b{n}", session=f"b/{n}", options=Options(queue="batch"))
        scene.pop("batch")
        give_back(scene, scene.claim(f"b{n}"))
    order: list[str] = []
    for _ in range(300):
        scene.turns.sweep()
        sent = [id for id in (scene.pop("chat"), scene.pop("batch")) if id]
        for id in sent:
            scene.turns.reserve_call(call(scene.claim(id)), CallLimits(requests=60))
        order += sent
        pass_time(scene, 500)
        if len(order) == 11:
            break
    assert next(n for n, id in enumerate(order) if id[0] == "b") == 4
    assert sorted(order) == sorted([f"a{n}" for n in range(8)] + [f"b{n}" for n in range(3)])


def test_nobody_passes_those_who_wait(scene: Scene) -> None:
    park(scene, 2)
    pass_time(scene, 700)
    [late] = claims(scene, 1, "late")
    assert not scene.turns.reserve_call(call(late), CallLimits(requests=60)).granted


def test_nothing_more_is_sent_while_workers_are_late(scene: Scene) -> None:
    park(scene, 8)
    pass_time(scene, 1_000)
    scene.turns.sweep()
    sent = scene.queue()
    pass_time(scene, 3_500)
    scene.turns.sweep()
    assert scene.queue() == sent
    pass_time(scene, 20_000)
    scene.turns.sweep()
    assert len(scene.queue()) > len(sent)


def test_a_turn_that_was_cancelled_on_its_way_holds_nobody_up(scene: Scene) -> None:
    park(scene, 6)
    pass_time(scene, 1_000)
    scene.turns.sweep()
    sent = scene.queue()
    scene.turns.cancel(sent[0])
    pass_time(scene, 3_500)
    scene.turns.sweep()
    assert len(scene.queue()) > len(sent)
    assert sent[0] not in scene.client.zrange(scene.keys.promised(MODEL), 0, -1)


def test_a_slot_that_came_too_late_is_reserved_anew(scene: Scene) -> None:
    park(scene, 1)
    pass_time(scene, 3_000)
    scene.turns.sweep()
    claim = scene.claim(str(scene.pop()))
    pass_time(scene, 2_500)
    scene.client.hset(scene.keys.budget(MODEL), "paused", 10**14)
    assert not scene.turns.reserve_call(call(claim), CallLimits(requests=60)).granted
    assert scene.client.zcard(scene.keys.promised(MODEL)) == 0


def test_a_429_pauses_the_model_for_everybody(scene: Scene) -> None:
    one, two = claims(scene, 2)
    assert scene.turns.settle_call(call(one), CallEnd("limited", pause=30)) == pytest.approx(30, abs=0.5)
    slot = scene.turns.reserve_call(call(two), NONE)
    assert not slot.granted
    assert slot.wait == pytest.approx(30, abs=1)
    assert scene.turns.sweep().models == (MODEL,)
    give_back(scene, two)
    scene.turns.sweep()
    assert scene.queue() == []
    pass_time(scene, 29_500)
    scene.turns.sweep()
    assert scene.queue() == ["a1"]


def test_after_a_pause_few_go_and_then_more(scene: Scene) -> None:
    first, *others = claims(scene, 12)
    scene.turns.settle_call(call(first), CallEnd("limited", pause=1))
    pass_time(scene, 1_000)
    granted = list[Claim]()
    for expected in (1, 2, 4):
        granted = [claim for claim in others if scene.turns.reserve_call(call(claim), NONE).granted]
        assert len(granted) == expected
        for claim in granted:
            scene.turns.settle_call(call(claim), ANSWERED)
            others.remove(claim)


def test_pauses_of_our_own_grow(stage: Stage) -> None:
    scene = stage.open(retry_base_seconds=1, retry_max_seconds=5)
    [claim] = claims(scene, 1)
    found = []
    for _ in range(4):
        found.append(scene.turns.settle_call(call(claim), LIMITED))
        assert scene.turns.settle_call(call(claim), LIMITED) <= found[-1]
        pass_time(scene, 10_000)
    assert found == [pytest.approx(seconds, abs=0.3) for seconds in (1, 2, 4, 5)]


def test_a_server_that_asks_for_hours_gets_the_longest_pause(stage: Stage) -> None:
    scene = stage.open(retry_max_seconds=5)
    [claim] = claims(scene, 1)
    assert scene.turns.settle_call(call(claim), CallEnd("limited", pause=86_400)) == pytest.approx(5, abs=0.3)


def test_what_the_server_tells_lowers_the_budget(scene: Scene) -> None:
    [claim] = claims(scene, 1)
    scene.turns.reserve_call(call(claim), CallLimits(requests=6_000))
    scene.turns.settle_call(call(claim), CallEnd("answered", limit_requests=60, left_requests=1))
    found = [scene.turns.reserve_call(call(claim, number), CallLimits(requests=6_000)) for number in (2, 3)]
    assert found[0].granted
    assert found[1].wait == pytest.approx(1.03, abs=0.2)


def test_a_higher_limit_of_the_servers_raises_nothing(scene: Scene) -> None:
    [claim] = claims(scene, 1)
    scene.turns.reserve_call(call(claim), CallLimits(requests=60))
    scene.turns.settle_call(call(claim), CallEnd("answered", limit_requests=6_000, left_requests=5_900))
    assert [scene.turns.reserve_call(call(claim, number), CallLimits(requests=60)).granted for number in (2, 3, 4)] == [
        True,
        True,
        False,
    ]


def test_a_pause_that_is_over_is_forgotten(scene: Scene) -> None:
    [claim] = claims(scene, 1)
    scene.turns.settle_call(call(claim), CallEnd("limited", pause=1))
    assert 0 < scene.client.pttl(scene.keys.budget(MODEL)) <= 61_000
    scene.client.delete(scene.keys.budget(MODEL))
    assert scene.turns.sweep().models == ()
    assert scene.client.exists(scene.keys.budgets) == 0


def test_an_interrupted_turn_waits_for_no_model(scene: Scene) -> None:
    park(scene, 2)
    scene.turns.submit("next", "a/0", "hi", when_busy="interrupt")
    assert scene.queue() == ["a0"]
    assert scene.turns.status("a0").waits_for is None
    assert scene.claim(str(scene.pop())).interrupted
    assert list(served(scene)) == ["a1"]


def test_a_turn_that_is_interrupted_while_it_asks_for_a_place_does_not_wait_for_one(scene: Scene) -> None:
    [claim] = claims(scene, 1)
    scene.turns.submit("next", "a/0", "hi", when_busy="interrupt")
    give_back(scene, claim)
    assert scene.queue() == ["a0"]


@pytest.mark.parametrize("end", ["cancel", "erase"])
def test_a_turn_that_waits_can_be_cancelled_and_erased(scene: Scene, end: str) -> None:
    park(scene, 2)
    getattr(scene.turns, end)({"cancel": "a0", "erase": "a/0"}[end])
    assert list(served(scene)) == ["a1"]
    assert scene.client.keys(scene.keys.ready("*")) == []


def test_a_place_that_was_lost_is_found_again(scene: Scene) -> None:
    park(scene, 1)
    scene.client.delete(scene.keys.ready(f"chat@{MODEL}:a"), scene.keys.rotation(f"chat@{MODEL}"), scene.keys.budgets)
    scene.make_due("a/0")
    scene.turns.sweep()
    assert scene.seat("a/0")["phase"] == "ready"
    assert list(served(scene)) == ["a0"]


def test_budgets_for_which_nobody_waits_hold_nobody_up(scene: Scene) -> None:
    names = [f"name{number}@1234" for number in range(100)]
    for name in names:
        scene.client.hset(scene.keys.budget(name), "requests", 60)
    scene.client.zadd(scene.keys.budgets, dict.fromkeys(names, 1))
    park(scene, 1)
    scene.turns.sweep()
    for _ in range(2):
        pass_time(scene, 60_000)
        assert MODEL in scene.turns.sweep().models
        if scene.queue():
            break
    assert scene.queue() == ["a0"]
    seen = {model for _ in range(60) for model in scene.turns.sweep().models}
    assert seen >= {*names}


def test_other_models_go_on(scene: Scene) -> None:
    park(scene, 3)
    scene.submit("other", session="a/other")
    assert scene.queue() == ["other"]
    claim = scene.claim("other")
    assert scene.turns.reserve_call(ModelCall(claim, 1, "llama@1234", 10), CallLimits(requests=60)).granted


def test_calls_are_counted_without_memory(cramped: tuple[Scene, Memory]) -> None:
    scene, memory = cramped
    one, two = claims(scene, 2)
    memory.fill()
    assert scene.turns.reserve_call(call(one), CallLimits(requests=60)).granted
    assert scene.turns.settle_call(call(one), CallEnd("limited", pause=3)) > 2
    give_back(scene, two)


def test_all_will_expire(scene: Scene, client: Any) -> None:
    del client
    park(scene, 2)
    for id in served(scene):
        del id
    for key in (scene.keys.budget(MODEL), scene.keys.calls(MODEL)):
        assert scene.client.pttl(key) > 0
