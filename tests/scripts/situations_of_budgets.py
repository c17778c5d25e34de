"""Situations in which turns call models that have a budget, and wait for it."""

from collections.abc import Callable
from typing import Any

from tests.scripts.scene import Scene
from tests.scripts.situation import situation
from turnstile.turns.question import Options
from turnstile.turns.store.budgets import CallEnd, CallLimits, ModelCall, OtherBudget
from turnstile.turns.turn import Claim

MODEL, OTHER = "gpt@1234", OtherBudget("other@1", CallLimits())
_LIMITS = CallLimits(requests=60, tokens=1_000, concurrent=2)


def _call(claim: Claim) -> ModelCall:
    return ModelCall(claim, 1, MODEL, 10)


def _wait(
    scene: Scene,
    *sessions: str,
    queue: str = "chat",
    tokens: int = 10,
    others: tuple[OtherBudget, ...] = (),
    patience: float = 0,
) -> None:
    """Let a turn of each session wait for the model, or for one of `others`."""
    scene.client.hset(scene.keys.budget(MODEL), mapping={"paused": 2**50})
    scene.client.expire(scene.keys.budget(MODEL), 100)
    scene.client.hdel(scene.keys.stats, "budgeted")
    for session in sessions:
        scene.submit(session.replace("/", "-"), session=session, options=Options(queue=queue))
        claim = scene.claim(str(scene.pop(queue)))
        scene.turns.requeue(claim, forgive=True, waits_for=MODEL, tokens=tokens, others=others, patience=patience)


def _resume(scene: Scene) -> None:
    scene.client.hset(scene.keys.budget(MODEL), mapping={"paused": 1, "requests": 60})


@situation("reserve_call")
def _of_the_first_call(scene: Scene) -> Callable[[], Any]:
    claim = scene.start("a")
    return lambda: scene.turns.reserve_call(_call(claim), _LIMITS)


@situation("reserve_call")
def _of_a_turn_that_was_sent_for_it(scene: Scene) -> Callable[[], Any]:
    _wait(scene, "a/1", "b/1")
    _resume(scene)
    scene.turns.sweep()
    claim = scene.claim(str(scene.pop()))
    return lambda: scene.turns.reserve_call(_call(claim), _LIMITS)


@situation("settle_call")
def _of_an_answer_for_which_others_wait(scene: Scene) -> Callable[[], Any]:
    claim = scene.start("a")
    scene.turns.reserve_call(_call(claim), _LIMITS)
    _wait(scene, "a/1", "b/1")
    _resume(scene)
    end = CallEnd("answered", 20, limit_requests=50, left_requests=10, limit_tokens=900, left_tokens=300)
    return lambda: scene.turns.settle_call(_call(claim), end)


@situation("settle_call")
def _of_a_refusal(scene: Scene) -> Callable[[], Any]:
    claim = scene.start("a")
    return lambda: scene.turns.settle_call(_call(claim), CallEnd("limited", pause=2))


@situation("requeue")
def _for_a_model(scene: Scene) -> Callable[[], Any]:
    _wait(scene, "a/1")
    claim = scene.start("a")
    scene.submit("b")
    return lambda: scene.turns.requeue(claim, forgive=True, waits_for=MODEL, tokens=10)


@situation("requeue")
def _for_a_model_that_is_free(scene: Scene) -> Callable[[], Any]:
    claim = scene.start("a")
    return lambda: scene.turns.requeue(claim, forgive=True, waits_for=MODEL, tokens=10)


def _sent_for_tokens(scene: Scene) -> Claim:
    """Let a turn be at work that was sent for half of a minute's tokens, for which another of its tenant waits."""
    limits = CallLimits(tokens=1_000)
    first = scene.start("first", session="a/0")
    scene.turns.reserve_call(ModelCall(first, 1, MODEL, 500), limits)
    _wait(scene, "a/1", "a/2", tokens=500)
    scene.client.hset(scene.keys.budget(MODEL), mapping={"paused": 1, "tokens_spent": 1, "owed_until": 1})
    scene.turns.sweep()
    return scene.claim(str(scene.pop()))


@situation("requeue")
def _of_what_was_sent_for_tokens_and_has_no_room(scene: Scene) -> Callable[[], Any]:
    claim = _sent_for_tokens(scene)
    return lambda: scene.turns.requeue(claim, 5, forgive=True, code="no_room")


@situation("reserve_call")
def _that_wants_more_tokens_than_it_was_sent_for(scene: Scene) -> Callable[[], Any]:
    claim = _sent_for_tokens(scene)
    return lambda: scene.turns.reserve_call(ModelCall(claim, 1, MODEL, 900), CallLimits(tokens=1_000))


@situation("settle_call")
def _that_took_more_tokens_than_was_thought(scene: Scene) -> Callable[[], Any]:
    claim = _sent_for_tokens(scene)
    call = ModelCall(claim, 1, MODEL, 500)
    scene.turns.reserve_call(call, CallLimits(tokens=1_000))
    return lambda: scene.turns.settle_call(call, CallEnd("answered", 800, limit_tokens=900, left_tokens=100))


@situation("sweep")
def _that_sends_a_small_turn_before_a_large_one(scene: Scene) -> Callable[[], Any]:
    _sent_for_tokens(scene)
    _wait(scene, "b/1", tokens=10)
    scene.client.hset(scene.keys.budget(MODEL), mapping={"paused": 1})
    return scene.turns.sweep


@situation("sweep")
def _that_sends_those_who_wait_for_a_model(scene: Scene) -> Callable[[], Any]:
    _wait(scene, "a/1", "a/2", "b/1")
    _wait(scene, "c/1", "c/2", queue="batch")
    _resume(scene)
    scene.make_due("a/2")
    return scene.turns.sweep


@situation("requeue")
def _for_a_model_beside_one_that_is_free(scene: Scene) -> Callable[[], Any]:
    _wait(scene, "a/1")
    claim = scene.start("a")
    return lambda: scene.turns.requeue(claim, forgive=True, waits_for=MODEL, tokens=10, others=(OTHER,))


@situation("reserve_call")
def _of_a_turn_that_was_sent_for_another_model(scene: Scene) -> Callable[[], Any]:
    _wait(scene, "a/1", others=(OTHER,))
    claim = scene.claim(str(scene.pop()))
    return lambda: scene.turns.reserve_call(_call(claim), _LIMITS, falls_back=True)


@situation("sweep")
def _that_sends_some_of_those_who_wait_to_another_model(scene: Scene) -> Callable[[], Any]:
    _wait(scene, "a/1", "b/1", others=(OTHER,), patience=60)
    _wait(scene, "c/1")
    for id in ("a-1", "b-1"):
        scene.client.hset(scene.keys.turn(id), "others_from", 1)
    scene.client.hset(scene.keys.budget(OTHER.name), mapping={"requests": 60})
    return scene.turns.sweep


@situation("sweep")
def _of_a_model_whose_budget_is_forgotten(scene: Scene) -> Callable[[], Any]:
    _wait(scene, "a/1")
    scene.client.delete(scene.keys.budget(MODEL))
    return scene.turns.sweep


@situation("cancel")
def _of_what_waits_for_a_model(scene: Scene) -> Callable[[], Any]:
    _wait(scene, "a/1", "a/2")
    scene.submit("a-1-next", session="a/1")
    return lambda: scene.turns.cancel("a-1")


@situation("erase", erases=True)
def _of_what_waits_for_a_model_too(scene: Scene) -> Callable[[], Any]:
    _wait(scene, "a/1", "a/2")
    return lambda: scene.turns.erase("a/1")


def _know(scene: Scene, limits: CallLimits = _LIMITS) -> None:
    """Let it be known that turns begin with a call of the model, which two have made."""
    scene.let_stand(100)
    for number in range(2):
        scene.turns.reserve_call(_call(scene.start(f"first-{number}", session=f"first/{number}")), limits)


@situation("submit")
def _of_a_turn_whose_model_has_no_place(scene: Scene) -> Callable[[], Any]:
    _know(scene)
    return lambda: scene.turns.submit("a", "a/1", "hi")


@situation("submit")
def _of_a_turn_whose_model_has_a_place(scene: Scene) -> Callable[[], Any]:
    _know(scene, CallLimits(requests=600, tokens=100_000, concurrent=9))
    return lambda: scene.turns.submit("a", "a/1", "hi")


@situation("sweep")
def _that_finds_turns_whose_model_has_no_place(scene: Scene) -> Callable[[], Any]:
    _know(scene)
    scene.let_stand(0)
    for number in range(4):
        scene.submit(f"a-{number}", session=f"a/{number}")
        scene.submit(f"b-{number}", session=f"b/{number}", options=Options(queue="batch"))
    scene.let_stand(10)
    return scene.turns.sweep
