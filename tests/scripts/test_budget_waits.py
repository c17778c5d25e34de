"""Turns that wait for a place in a model's budget."""

import pytest

from tests.scripts.conftest import Stage
from tests.scripts.cutting import cut, numbers
from tests.scripts.model_calls import ANSWERED, MODEL, call, claims, forget_models, give_back, park, pass_time, served
from tests.scripts.scene import Scene
from turnstile.turns.question import Options
from turnstile.turns.states import State
from turnstile.turns.store.budgets import CallEnd, CallLimits, ModelCall
from turnstile.turns.turn import Claim


def test_those_who_wait_go_before_one_that_comes_when_there_is_a_place(scene: Scene) -> None:
    limits = CallLimits(requests=60)
    for claim in claims(scene, 6):
        if not scene.turns.reserve_call(call(claim), limits).granted:
            give_back(scene, claim)
    pass_time(scene, 5_000)
    [late] = claims(scene, 1, tenant="late")
    assert not scene.turns.reserve_call(call(late), limits).granted


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


def test_a_wait_that_was_cut_short_is_told_and_forgiven_once(scene: Scene) -> None:
    for writes in numbers():
        scene.client.flushdb()
        [claim] = claims(scene, 1)
        with cut(scene.turns, "requeue", writes) as happened:
            give_back(scene, claim)
        give_back(scene, claim)
        assert [kind for _, kind, *_ in scene.events(claim.id)] == ["started", "waiting"], f"after {writes} writes"
        assert scene.client.hmget(scene.keys.turn(claim.id), "forgiven", "sequence") == ["1", "2"]
        if not happened:
            return


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
    forget_models(scene)
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


def test_a_slot_that_a_returned_turn_does_not_take_is_given_back(scene: Scene) -> None:
    park(scene, 6)
    pass_time(scene, 1_000)
    scene.turns.sweep()
    claim = scene.claim(str(scene.pop()))
    left = scene.queue()
    # It was sent for a slot, and there is no room for it at its worker.
    assert scene.turns.requeue(claim, 5, forgive=True, code="no_room")
    assert claim.id not in scene.client.zrange(scene.keys.promised(MODEL), 0, -1)
    assert len(scene.queue()) == len(left) + 1
    before = scene.client.hgetall(scene.keys.budget(MODEL))
    assert scene.turns.requeue(claim, 5, forgive=True, code="no_room")
    assert (len(scene.queue()), scene.client.hgetall(scene.keys.budget(MODEL))) == (len(left) + 1, before)


def _sent_for_tokens(scene: Scene) -> Claim:
    """Return a turn at work that was sent for half a minute's tokens."""
    limits = CallLimits(tokens=6_000)
    [first, large] = claims(scene, 2)
    assert scene.turns.reserve_call(call(first, 1, 3_000), limits).granted
    assert not scene.turns.reserve_call(call(large, 1, 3_000), limits).granted
    give_back(scene, large, 3_000)
    pass_time(scene, 31_000)
    scene.turns.sweep()
    return scene.claim(str(scene.pop()))


def _spent(scene: Scene, field: str = "tokens_spent") -> float:
    return float(scene.client.hget(scene.keys.budget(MODEL), field))


def test_tokens_that_a_returned_turn_was_sent_for_are_given_back(scene: Scene) -> None:
    claim = _sent_for_tokens(scene)
    spent = _spent(scene)
    assert scene.turns.requeue(claim, 5, forgive=True, code="no_room")
    # Half a minute, and what is added to it so that no minute holds more.
    assert spent - _spent(scene) == pytest.approx(30_500, abs=500)
    assert _spent(scene, "owed_until") <= scene.turns.now() * 1_000


def test_a_return_that_is_cut_short_gives_back_once(scene: Scene) -> None:
    for writes in numbers():
        scene.client.flushdb()
        claim = _sent_for_tokens(scene)
        spent = _spent(scene)
        with cut(scene.turns, "requeue", writes) as happened:
            scene.turns.requeue(claim, 5, forgive=True, code="no_room")
        assert scene.turns.requeue(claim, 5, forgive=True, code="no_room")
        assert scene.client.zcard(scene.keys.promised(MODEL)) == 0
        # A cut here loses the place for everybody, and never gives it twice.
        assert spent - _spent(scene) in (0, pytest.approx(30_500, abs=500))
        if not happened:
            return


def test_a_turn_that_is_returned_is_not_on_its_way_any_more(scene: Scene) -> None:
    [first] = claims(scene, 1)
    assert scene.turns.reserve_call(call(first), CallLimits(concurrent=1)).granted
    scene.turns.settle_call(call(first), ANSWERED)
    scene.submit("b", session="b/1")
    scene.submit("c", session="c/1")
    claim = scene.claim(str(scene.pop()))
    assert scene.queue() == []
    assert scene.turns.requeue(claim, 5, forgive=True, code="no_room")
    scene.turns.sweep()
    assert scene.queue() == ["c"]


def test_a_slot_that_came_too_late_is_reserved_anew(scene: Scene) -> None:
    park(scene, 1)
    pass_time(scene, 3_000)
    scene.turns.sweep()
    claim = scene.claim(str(scene.pop()))
    pass_time(scene, 2_500)
    scene.client.hset(scene.keys.budget(MODEL), "paused", 10**14)
    assert not scene.turns.reserve_call(call(claim), CallLimits(requests=60)).granted
    assert scene.client.zcard(scene.keys.promised(MODEL)) == 0


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


def test_a_tenant_that_waits_for_many_models_delays_no_other(scene: Scene) -> None:
    for number, claim in enumerate(claims(scene, 100)):
        model = f"name{number}@1234"
        for call_number in range(4):
            slot = scene.turns.reserve_call(ModelCall(claim, call_number, model, 10), CallLimits(requests=6))
        assert not slot.granted
        assert scene.turns.requeue(claim, forgive=True, waits_for=model, tokens=10)
    park(scene, 6, tenant="b")
    sent = []
    for _ in range(8):
        pass_time(scene, 1_000)
        scene.turns.sweep()
        if id := scene.pop():
            assert scene.turns.reserve_call(call(scene.claim(id)), CallLimits(requests=60)).granted
            sent.append(id)
    assert sent == [f"b{number}" for number in range(6)]
    seen = {model for _ in range(30) for model in scene.turns.sweep().models}
    assert len(seen) > 90


def test_other_models_go_on(scene: Scene) -> None:
    park(scene, 3)
    scene.submit("other", session="a/other", options=Options(model="llama"))
    assert scene.queue() == ["other"]
    claim = scene.claim("other")
    assert scene.turns.reserve_call(ModelCall(claim, 1, "llama@1234", 10), CallLimits(requests=60)).granted


def expires(scene: Scene) -> bool:
    """Return True when the model's budget will be forgotten by itself."""
    left = scene.client.pttl(scene.keys.budget(MODEL))
    assert left != -2
    return bool(left != -1)


def test_limits_are_known_as_long_as_turns_wait(scene: Scene) -> None:
    limits = CallLimits(concurrent=1)
    [slow, first, second] = claims(scene, 3)
    assert scene.turns.reserve_call(call(slow), limits).granted
    assert expires(scene)
    scene.client.delete(scene.keys.budget(MODEL))  # its call takes long
    for claim in (first, second):
        assert not scene.turns.reserve_call(call(claim), limits).granted
        give_back(scene, claim)
        assert not expires(scene)
    assert scene.turns.sweep()
    assert scene.pop("chat") is None
    scene.turns.settle_call(call(slow), ANSWERED)
    assert not expires(scene)
    again = scene.claim(scene.pop("chat") or "")
    assert scene.turns.reserve_call(call(again), limits).granted
    assert not expires(scene)
    scene.turns.settle_call(call(again), ANSWERED)
    assert scene.pop("chat")
    assert expires(scene)


def test_limits_are_known_to_one_that_no_worker_was_asked_for(scene: Scene) -> None:
    limits = CallLimits(concurrent=1)
    [slow] = claims(scene, 1)
    assert scene.turns.reserve_call(call(slow), limits).granted
    scene.client.delete(scene.keys.budget(MODEL))  # its call takes long
    scene.submit("late", session="b/1")
    assert scene.turns.status("late").waits_for == "gpt"
    assert not expires(scene)
    assert scene.turns.sweep()
    assert scene.pop("chat") is None


def test_limits_that_nobody_waits_for_are_forgotten_in_time(scene: Scene) -> None:
    limits = CallLimits(concurrent=1)
    [slow, first] = claims(scene, 2)
    assert scene.turns.reserve_call(call(slow), limits).granted
    assert not scene.turns.reserve_call(call(first), limits).granted
    give_back(scene, first)
    assert not expires(scene)
    scene.turns.cancel(first.id)
    scene.turns.sweep()
    assert expires(scene)


def test_a_pause_is_known_until_it_is_over(scene: Scene) -> None:
    [one, other] = [*claims(scene, 1), *claims(scene, 1, "b")]
    scene.turns.settle_call(call(one), CallEnd("limited", pause=600))
    scene.client.hset(
        scene.keys.budget(MODEL), mapping={"own_paused": 1_000 * (scene.turns.now() + 600), "tenant": "a", "paused": 0}
    )
    assert scene.turns.reserve_call(call(other), CallLimits(concurrent=9)).granted
    assert scene.client.pttl(scene.keys.budget(MODEL)) > 600_000
