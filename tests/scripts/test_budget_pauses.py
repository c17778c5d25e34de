"""settle_call: for whom a model pauses, whose server refuses the calls of one tenant, or of several."""

import pytest

from tests.scripts.conftest import Stage
from tests.scripts.model_calls import ANSWERED, LIMITED, MODEL, NONE, call, claims, give_back, pass_time
from tests.scripts.scene import Scene
from turnstile.turns.store.budgets import CallEnd, CallLimits, OtherBudget
from turnstile.turns.turn import Claim

LONG = CallEnd("limited", pause=30)


def granted(scene: Scene, asking: list[Claim], limits: CallLimits = NONE) -> list[bool]:
    """Tell for each turn whether its call may begin now."""
    return [scene.turns.reserve_call(call(claim, 2), limits).granted for claim in asking]


def test_a_refusal_pauses_the_model_for_its_tenant(scene: Scene) -> None:
    one, two = claims(scene, 2)
    others = claims(scene, 3, "b")
    assert scene.turns.settle_call(call(one), LONG) == pytest.approx(30, abs=0.5)
    assert scene.turns.reserve_call(call(two), NONE).wait == pytest.approx(30, abs=1)
    assert granted(scene, others) == [True] * 3


@pytest.mark.parametrize("limits", [NONE, CallLimits(requests=600), CallLimits(concurrent=4)])
def test_those_who_wait_for_their_own_pause_hold_nobody_up(scene: Scene, limits: CallLimits) -> None:
    one, two = claims(scene, 2)
    scene.turns.settle_call(call(one), LONG)
    give_back(scene, one)
    give_back(scene, two)
    asking, other = claims(scene, 2, "b")
    assert granted(scene, [asking], limits) == [True]
    give_back(scene, other)
    assert scene.pop() == "b1"


@pytest.mark.parametrize("again", [LONG, LIMITED])
def test_refusals_of_one_tenant_never_pause_the_model_for_others(scene: Scene, again: CallEnd) -> None:
    refused, others = claims(scene, 4), claims(scene, 8, "b")
    for claim in refused:
        scene.turns.settle_call(call(claim), again)
        assert granted(scene, [others.pop(), others.pop()]) == [True, True]
        pass_time(scene, 61_000)


def test_refusals_of_two_tenants_pause_the_model_for_everybody(scene: Scene) -> None:
    [one], [two], [three] = claims(scene, 1), claims(scene, 1, "b"), claims(scene, 1, "c")
    scene.turns.settle_call(call(one), LONG)
    assert scene.turns.settle_call(call(two), LONG) == pytest.approx(30, abs=1)
    assert scene.turns.reserve_call(call(three), NONE).wait == pytest.approx(30, abs=1)


def test_all_wait_as_long_as_both_are_to(scene: Scene) -> None:
    [one], [two], [three] = claims(scene, 1), claims(scene, 1, "b"), claims(scene, 1, "c")
    scene.turns.settle_call(call(one), CallEnd("limited", pause=5))
    scene.turns.settle_call(call(two), CallEnd("limited", pause=3_600))
    assert scene.turns.reserve_call(call(three), NONE).wait == pytest.approx(5, abs=1)


def test_refusals_far_apart_are_those_of_their_tenants(scene: Scene) -> None:
    [one], [two], [three] = claims(scene, 1), claims(scene, 1, "b"), claims(scene, 1, "c")
    scene.turns.settle_call(call(one), LONG)
    pass_time(scene, 31_000)
    scene.turns.settle_call(call(two), LONG)
    assert granted(scene, [one, three, two]) == [True, True, False]


@pytest.mark.parametrize("kind", ["requests", "tokens"])
def test_a_server_that_says_that_nothing_is_left_pauses_everybody(scene: Scene, kind: str) -> None:
    [one], [two] = claims(scene, 1), claims(scene, 1, "b")
    left = {"left_requests": 5, "left_tokens": 5} | {f"left_{kind}": 0}
    scene.turns.settle_call(call(one), CallEnd("limited", pause=30, **left))
    assert scene.turns.reserve_call(call(two), NONE).wait == pytest.approx(30, abs=1)


def test_pauses_for_everybody_grow_while_calls_of_others_are_refused(stage: Stage) -> None:
    scene = stage.open(retry_base_seconds=1, retry_max_seconds=5)
    probing = [claims(scene, 1, tenant)[0] for tenant in "abcdefgh"]
    found = []
    for one, two in zip(probing[::2], probing[1::2], strict=True):
        scene.turns.settle_call(call(one), LIMITED)
        found.append(scene.turns.settle_call(call(two), LIMITED))
        pass_time(scene, 10_000)
    assert found == [pytest.approx(seconds, abs=0.3) for seconds in (1, 2, 4, 5)]


def test_after_a_pause_of_its_own_few_of_a_tenant_go_and_then_more(scene: Scene) -> None:
    first, *mine = claims(scene, 12)
    others = claims(scene, 4, "b")
    scene.turns.settle_call(call(first), CallEnd("limited", pause=1))
    pass_time(scene, 1_000)
    for expected in (1, 2, 3):
        going = [claim for claim in mine if scene.turns.reserve_call(call(claim), NONE).granted]
        assert len(going) == expected
        scene.turns.settle_call(call(going[0]), ANSWERED)
        mine.remove(going[0])
    assert granted(scene, others) == [True] * 4


def test_a_turn_whose_tenant_alone_is_to_wait_goes_on_with_another_model(scene: Scene) -> None:
    one, two = claims(scene, 2)
    scene.turns.settle_call(call(one), LONG)
    scene.turns.requeue(two, forgive=True, waits_for=MODEL, tokens=10, others=[OtherBudget("other@1", NONE)], patience=0)
    scene.turns.sweep()
    assert scene.queue() == ["a1"]
