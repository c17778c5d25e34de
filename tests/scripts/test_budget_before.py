"""Turns whose model is known to have a budget are looked at before they are dispatched."""

import json
import re
from dataclasses import replace
from itertools import count

import pytest

from tests.scripts.model_calls import ANSWERED, MODEL, call, claims, forget_models, pass_time, served
from tests.scripts.scene import Scene
from tests.support.wait import wait_until
from turnstile.turns.question import Options
from turnstile.turns.store import registry
from turnstile.turns.store.budgets import CallLimits, ModelCall, OtherBudget

_LIMITS = CallLimits(requests=60)


def _known(scene: Scene, limits: CallLimits = _LIMITS, calls: int = 1) -> None:
    """Let it be known that turns begin with a call of the model; so many were made."""
    for claim in claims(scene, calls, "first"):
        assert scene.turns.reserve_call(call(claim), limits).granted


def _ask(scene: Scene, count: int, tenant: str = "a", **options: object) -> None:
    for n in range(count):
        scene.submit(f"{tenant}{n}", session=f"{tenant}/{n}", options=Options.of(options))


def test_a_turn_without_a_place_is_dispatched_once(scene: Scene) -> None:
    _known(scene)
    _ask(scene, 8)
    assert scene.queue() == ["a0", "a1"]
    order = list(served(scene))
    assert order == [f"a{n}" for n in range(8)]
    records = [scene.turns.status(id) for id in order]
    assert [(record.dispatches, record.attempts) for record in records] == [(1, 1)] * 8
    assert scene.client.zcard(scene.keys.coming(MODEL)) == scene.client.zcard(scene.keys.promised(MODEL)) == 0
    assert scene.client.keys(scene.keys.ready("*")) == scene.client.keys(scene.keys.rotation("*")) == []


def test_its_wait_is_told(scene: Scene) -> None:
    _known(scene, calls=3)
    _ask(scene, 1)
    assert scene.turns.status("a0").waits_for == "gpt"
    assert scene.events("a0") == [(1, "waiting", 0, "gpt")]
    assert scene.seat("a/0")["phase"] == "ready"
    assert MODEL in scene.turns.sweep().models


def test_a_wait_before_the_first_attempt_counts_against_no_deadline(scene: Scene) -> None:
    _known(scene, calls=3)
    _ask(scene, 1)
    scene.client.hset(scene.keys.turn("a0"), "waits_since", 1)
    assert list(served(scene)) == ["a0"]
    started = scene.turns.status("a0").started
    assert started
    assert abs(scene.turns.now() - started) < 30


def test_others_go_on(scene: Scene) -> None:
    _known(scene, calls=3)
    _ask(scene, 1)
    for tenant, options in {"m": {"model": "llama"}, "c": {"chain": "mine"}, "l": {"instructions": "x" * 4_096}}.items():
        _ask(scene, 1, tenant, **options)
    assert scene.queue() == ["m0", "c0", "l0"]


def test_a_turn_is_known_by_its_chain_and_its_model(scene: Scene) -> None:
    scene.let_stand(1_000)
    for n in range(4):
        claim = scene.start(f"x{n}", session=f"x/{n}", options=Options(chain="mine", model="gpt"))
        slot = scene.turns.reserve_call(call(claim), _LIMITS)
        forget_models(scene) if n < 3 else None
    assert not slot.granted
    _ask(scene, 1, "a", chain="mine", model="gpt", name="model")
    _ask(scene, 1, "b", model="gpt")
    assert scene.queue() == ["b0"]


@pytest.mark.parametrize("falls_back", [False, True])
def test_a_later_call_or_one_that_another_model_may_take_tells_nothing(scene: Scene, falls_back: bool) -> None:
    for claim in claims(scene, 4):
        scene.turns.reserve_call(call(claim, 1 if falls_back else 2), _LIMITS, falls_back=falls_back)
    _ask(scene, 1, "b")
    assert scene.queue() == ["b0"]


def test_what_was_known_is_forgotten(scene: Scene) -> None:
    _known(scene, calls=3)
    scene.client.hset(scene.keys.stats, "budgeted", 1)
    _ask(scene, 1)
    assert scene.queue() == ["a0"]
    scene.turns.reserve_call(call(replace(scene.claim("a0"), options=Options(model="llama"))), _LIMITS)
    _ask(scene, 1, "c")
    assert scene.queue() == ["a0", "c0"]
    assert 0 < scene.client.pttl(scene.keys.first_call(" llama")) <= 120_000


def test_names_of_one_tenant_displace_no_others(scene: Scene) -> None:
    [claim] = claims(scene, 1, "busy")
    for n in range(1_100):
        scene.turns.reserve_call(call(replace(claim, id=f"busy{n}", options=Options(model=f"name-{n}"))), _LIMITS)
    last = scene.start("x0", session="x/0", options=Options(model="late"))
    assert not scene.turns.reserve_call(call(last), _LIMITS).granted
    _ask(scene, 1, model="late")
    assert "a0" not in scene.queue()
    assert scene.turns.status("a0").waits_for == "gpt"


def test_a_kind_that_is_called_is_known_for_longer(scene: Scene) -> None:
    _known(scene, calls=2)
    kept = scene.keys.first_call(" ")
    scene.client.set(kept, re.sub(r"^(\d+) \d+", r"\1 7", str(scene.client.get(kept))), px=50_000)
    scene.turns.reserve_call(call(scene.start("x", session="x/0")), _LIMITS)
    assert scene.client.pttl(kept) > 60_000


def test_a_worker_that_comes_may_have_other_budgets(scene: Scene) -> None:
    _known(scene, calls=3)
    facts = {**registry.introduce(scene.turns.settings), "started": 1, "seen": scene.turns.now(), "concurrency": 1}
    assert not scene.turns.register_worker("w9", facts)
    _ask(scene, 1)
    assert scene.queue() == ["a0"]


def test_a_turn_that_was_lost_on_its_way_holds_a_place_for_a_moment(scene: Scene) -> None:
    _known(scene)
    _ask(scene, 2)
    assert len(scene.queue()) == 2
    pass_time(scene, 60_000)
    _ask(scene, 3, "b")
    assert [id for id in scene.queue() if id[0] == "b"] == ["b0"]
    for id in ("a0", "a1", "b0"):
        scene.client.zadd(scene.keys.coming(MODEL), {id: 1})
    scene.client.delete(scene.keys.rotation(f"chat@{MODEL}"))
    _ask(scene, 1, "c")
    assert "c0" in scene.queue()
    assert scene.client.zrange(scene.keys.coming(MODEL), 0, -1) == ["c0"]


def test_calls_under_way_leave_no_place(scene: Scene) -> None:
    limits = CallLimits(concurrent=3)
    [first, _] = claims(scene, 2, "first")
    assert scene.turns.reserve_call(call(first), limits).granted
    _ask(scene, 4)
    assert scene.queue() == ["a0", "a1"]
    scene.turns.settle_call(call(first), ANSWERED)
    assert scene.queue() == ["a0", "a1", "a2"]


def test_tokens_leave_no_place(scene: Scene) -> None:
    [claim] = claims(scene, 1)
    assert scene.turns.reserve_call(call(claim, tokens=300), CallLimits(tokens=1_000)).granted
    scene.submit("next", session="a/next")
    assert scene.queue() == []
    assert scene.client.hget(scene.keys.turn("next"), "wants") == "300"


def test_those_on_their_way_count_for_others_that_wait(scene: Scene) -> None:
    _known(scene)
    _ask(scene, 4)
    assert scene.queue() == ["a0", "a1"]
    scene.turns.sweep()
    assert scene.queue() == ["a0", "a1"]
    for id in ("a0", "a1"):
        slot = scene.turns.reserve_call(call(scene.claim(id)), _LIMITS)
        assert slot.granted
    assert scene.client.zcard(scene.keys.coming(MODEL)) == 0


def test_a_turn_on_its_way_takes_its_place_before_those_who_wait(scene: Scene) -> None:
    _known(scene)
    _ask(scene, 4)
    assert scene.client.exists(scene.keys.rotation(f"chat@{MODEL}"))
    assert scene.turns.reserve_call(call(scene.claim(str(scene.pop()))), _LIMITS).granted


def test_a_turn_that_another_model_answers_waits_as_ever(scene: Scene) -> None:
    other = OtherBudget("other@1", CallLimits())
    _known(scene, calls=3)
    forget_models(scene)
    claim = scene.start("b", session="b")
    scene.turns.requeue(claim, forgive=True, waits_for=MODEL, tokens=10, others=(other,))
    assert scene.queue() == ["b"]


def test_an_interrupted_turn_goes_to_a_worker(scene: Scene) -> None:
    _known(scene, calls=3)
    scene.let_stand(0)
    _ask(scene, 1)
    scene.client.hset(scene.keys.turn("a0"), "busy", "interrupt")
    scene.let_stand(10)
    scene.turns.sweep()
    assert scene.queue() == ["a0"]


def test_a_tenant_that_waits_for_a_model_pays_its_turn(scene: Scene) -> None:
    _known(scene, calls=3)
    scene.let_stand(0)
    _ask(scene, 40)
    _ask(scene, 2, "b", model="llama")
    scene.let_stand(10)
    scene.turns.sweep()
    assert scene.queue() == ["b0", "b1"]


def test_a_turn_of_no_budget_costs_no_more(scene: Scene) -> None:
    ids = (f"plain{number}" for number in count())

    def commands() -> str:
        scene.client.config_resetstat()
        id = next(ids)
        scene.submit(id, session=id)
        return json.dumps(sorted(scene.client.info("commandstats")))

    # The server counts what workers of other tests call meanwhile.
    assert wait_until(lambda: "hstrlen" not in commands(), "no long field is looked at")
    assert not scene.client.exists(scene.keys.first_call(" "), scene.keys.coming(MODEL), scene.keys.budget(MODEL))


def test_the_budget_of_another_model_is_known_by_itself(scene: Scene) -> None:
    [first, second] = claims(scene, 2)
    scene.turns.reserve_call(call(first), _LIMITS)
    scene.client.hset(scene.keys.turn(second.id), "options", json.dumps({"model": "llama"}))
    scene.turns.reserve_call(ModelCall(second, 1, "llama@1", 10), CallLimits(concurrent=1))
    assert str(scene.client.get(scene.keys.first_call(" "))).endswith(" llama@1=0,0,1")
