"""reserve_call and settle_call: limits, pauses, and shares of a model's budget."""

from typing import Any

import pytest

from tests.scripts.conftest import Memory, Stage
from tests.scripts.model_calls import ANSWERED, LIMITED, MODEL, NONE, call, claims, give_back, park, pass_time, served, waits
from tests.scripts.scene import Scene
from tests.support.wait import wait_until
from turnstile.turns.store.budgets import CallEnd, CallLimits, ModelCall, Passing, Slot
from turnstile.turns.turn import Claim


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


def test_a_request_to_a_gateway_is_under_way_until_it_must_have_ended(scene: Scene) -> None:
    limits, passed = CallLimits(concurrent=1), ModelCall(Passing("nonce", "acme/"), 1, MODEL, 10)
    [claim] = claims(scene, 1)
    assert scene.turns.reserve_call(passed, limits, ahead=0).granted
    assert scene.turns.reserve_call(call(claim), limits) == Slot(False, None)
    pass_time(scene, round(scene.turns.settings.model_timeout * 1000))
    assert not scene.turns.reserve_call(call(claim), limits).granted
    pass_time(scene, 10_000)
    assert scene.turns.reserve_call(call(claim), limits).granted
    scene.turns.settle_call(call(claim), ANSWERED)
    assert scene.turns.reserve_call(passed, limits, ahead=0).granted
    scene.turns.settle_call(passed, ANSWERED)
    assert scene.turns.reserve_call(call(claim), limits).granted


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


def test_a_call_of_a_dead_worker_is_none(scene: Scene) -> None:
    limits = CallLimits(concurrent=1)
    one, two = claims(scene, 2)
    scene.turns.reserve_call(call(one), limits)
    assert not scene.turns.reserve_call(call(two), limits).granted
    scene.lose("a/0")
    assert scene.turns.reserve_call(call(two), limits).granted


def test_calls_of_a_dead_worker_are_found_behind_many_that_live(scene: Scene) -> None:
    limits = CallLimits(concurrent=120)
    alive, dead, [one] = claims(scene, 112), claims(scene, 8, "b"), claims(scene, 1, "c")
    for claim in (*alive, *dead):
        scene.client.zadd(scene.keys.calls(MODEL), {f"1 {claim.token} {claim.id} {claim.id[0]}": 1_000 * scene.turns.now()})
    for number in range(8):
        scene.lose(f"b/{number}")
    wait_until(lambda: scene.turns.reserve_call(call(one), limits).granted, "the dead are found")
    assert scene.client.zcard(scene.keys.calls(MODEL)) == 113


def test_a_repeat_gets_the_same_slot(scene: Scene) -> None:
    limits = CallLimits(requests=60)
    [claim] = claims(scene, 1)
    scene.turns.reserve_call(call(claim), limits)
    before = scene.picture()
    assert scene.turns.reserve_call(call(claim), limits) == Slot(True, 0)
    assert scene.picture() == before


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


def test_what_the_server_tells_one_tenant_holds_for_all_until_it_tells_another_limit(scene: Scene) -> None:
    limits = CallLimits(requests=6_000)
    for tenant, told in (("a", 60), ("b", 600)):
        claim = scene.start(tenant, session=f"{tenant}/foo")
        scene.turns.reserve_call(call(claim), limits)
        scene.turns.settle_call(call(claim), CallEnd("answered", limit_requests=told))
        assert scene.client.hget(scene.keys.budget(call(claim).model), "told_requests") == str(told)


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
