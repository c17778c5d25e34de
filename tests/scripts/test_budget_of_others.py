"""Turns that wait for a place in their model's budget, and go on with another model when that takes long."""

import pytest

from tests.scripts.scene import Scene
from turnstile.turns.store.budgets import CallEnd, CallLimits, ModelCall, OtherBudget, Slot
from turnstile.turns.turn import Claim

MODEL, OTHER, THIRD = "gpt@1234", "other@1", "third@1"
LIMITS = CallLimits(requests=60)


def call(claim: Claim, model: str) -> ModelCall:
    return ModelCall(claim, 1, model, 10)


def pause(scene: Scene, *models: str) -> None:
    for model in models:
        scene.client.hset(scene.keys.budget(model), mapping={"paused": 2**50})


def go_on(scene: Scene, model: str, **limits: int) -> None:
    """Let a model have room for as many calls at once as `most`."""
    scene.client.hset(scene.keys.budget(model), mapping={"paused": 1, **limits})


def wait(scene: Scene, count: int, others: tuple[str, ...] = (OTHER,), patience: float = 0, most: int = 0) -> list[str]:
    """Let so many turns wait for the model, or for one of the others, which stand `most` calls at once."""
    scene.let_stand(1_000)
    budgets = [OtherBudget(name, CallLimits(concurrent=most)) for name in others]
    ids = [f"a{n}" for n in range(count)]
    claims = [scene.start(id, session=f"a/{id}") for id in ids]
    for claim in claims:
        assert scene.turns.requeue(claim, forgive=True, waits_for=MODEL, tokens=10, others=budgets, patience=patience)
    return ids


def sent(scene: Scene) -> list[str]:
    """Sweep, and return the turns that were dispatched."""
    scene.turns.sweep()
    return scene.queue()


def taken(scene: Scene) -> Claim:
    """Claim the next turn, as it is to be: its own model is passed over."""
    claim = scene.claim(str(scene.pop()))
    assert scene.turns.reserve_call(call(claim, MODEL), LIMITS, falls_back=True) == Slot(False, 0, passed=True)
    return claim


def test_a_turn_that_has_waited_long_goes_on_with_a_place_at_another(scene: Scene) -> None:
    pause(scene, MODEL)
    wait(scene, 1, patience=60)
    assert sent(scene) == []
    assert scene.turns.status("a0").waits_for == "gpt"
    scene.client.hset(scene.keys.turn("a0"), "others_from", 1)
    assert sent(scene) == ["a0"]
    assert scene.turns.reserve_call(call(taken(scene), OTHER), LIMITS).granted
    record = scene.turns.status("a0")
    assert (record.dispatches, record.attempts, record.waits_for) == (2, 2, None)


def test_no_more_go_than_the_other_has_places(scene: Scene) -> None:
    pause(scene, MODEL, OTHER)
    wait(scene, 4, most=2)
    assert sent(scene) == []
    go_on(scene, OTHER)
    assert sent(scene) == ["a0", "a1"]
    claims = [taken(scene), taken(scene)]
    limits = CallLimits(concurrent=2)
    assert all(scene.turns.reserve_call(call(claim, OTHER), limits).granted for claim in claims)
    assert sent(scene) == []
    scene.turns.settle_call(call(claims[0], OTHER), CallEnd("answered"))
    assert sent(scene) == ["a2"]
    assert scene.client.zrange(scene.keys.promised(OTHER), 0, -1) == ["a2"]


def test_limits_of_the_other_hold_before_it_was_ever_called(scene: Scene) -> None:
    pause(scene, MODEL)
    wait(scene, 4, most=2)
    assert scene.queue() == ["a0", "a1"]


def test_the_next_in_the_list_has_a_place(scene: Scene) -> None:
    pause(scene, MODEL, OTHER)
    wait(scene, 1, (OTHER, THIRD))
    assert scene.queue() == ["a0"]
    assert scene.client.exists(scene.keys.promised(OTHER)) == 0


def test_those_who_wait_for_the_other_itself_go_first(scene: Scene) -> None:
    pause(scene, MODEL, OTHER)
    wait(scene, 1)
    claim = scene.start("b0", session="b/0")
    assert scene.turns.requeue(claim, forgive=True, waits_for=OTHER, tokens=10)
    scene.client.zadd(scene.keys.budgets, {MODEL: 0, OTHER: 1})
    go_on(scene, OTHER, most=1)
    assert sent(scene) == ["b0"]


def test_a_place_at_its_own_model_is_its_own_again(scene: Scene) -> None:
    pause(scene, MODEL)
    wait(scene, 1)
    claim = taken(scene)
    pause(scene, OTHER)
    assert scene.turns.requeue(claim, forgive=True, waits_for=MODEL, tokens=10)
    go_on(scene, MODEL, most=1)
    assert sent(scene) == ["a0"]
    claim = scene.claim(str(scene.pop()))
    assert scene.turns.reserve_call(call(claim, MODEL), LIMITS, falls_back=True).granted


@pytest.mark.parametrize("lost", [False, True])
def test_late_workers_get_no_more_of_the_others_slots(scene: Scene, lost: bool) -> None:
    pause(scene, MODEL, OTHER)
    wait(scene, 2)
    go_on(scene, OTHER, requests=60)
    scene.submit("late", session="late/1")
    scene.client.zadd(scene.keys.promised(OTHER), {"late": scene.turns.now() * 1000 - (3_000 if not lost else 60_000)})
    scene.pop()
    assert sent(scene) == (["a0", "a1"] if lost else [])


def test_a_turn_without_others_notes_nothing_of_them(scene: Scene) -> None:
    pause(scene, MODEL)
    wait(scene, 1, ())
    assert not {"others", "others_from", "passed_over"} & scene.client.hgetall(scene.keys.turn("a0")).keys()
