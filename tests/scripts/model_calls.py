"""Turns at work that ask for calls of a model."""

from collections.abc import Iterator

from tests.scripts.scene import Scene
from turnstile.turns.store.budgets import CallEnd, CallLimits, ModelCall
from turnstile.turns.turn import Claim

MODEL = "gpt@1234"
NONE = CallLimits()
ANSWERED, LIMITED = CallEnd("answered"), CallEnd("limited")


def call(claim: Claim, number: int = 1, tokens: int = 10) -> ModelCall:
    return ModelCall(claim, number, MODEL, tokens)


def forget_models(scene: Scene) -> None:
    """Let nobody know with a call of which model turns begin: those that come are not looked at before their workers do."""
    scene.client.hdel(scene.keys.stats, "budgeted")


def claims(scene: Scene, count: int, tenant: str = "a") -> list[Claim]:
    """Turns at work, each in a session of its own."""
    scene.let_stand(1_000)
    forget_models(scene)
    return [scene.start(f"{tenant}{n}", session=f"{tenant}/{n}") for n in range(count)]


def give_back(scene: Scene, claim: Claim, tokens: int = 10) -> None:
    """Let a turn wait for the model."""
    assert scene.turns.requeue(claim, forgive=True, code="over_budget", waits_for=MODEL, tokens=tokens)


def pass_time(scene: Scene, ms: int) -> None:
    """Let time pass for the budget: what was noted lies further back."""
    for field in ("requests_spent", "tokens_spent", "owed_until", "paused", "own_paused"):
        if (value := scene.client.hget(scene.keys.budget(MODEL), field)) is not None:
            scene.client.hset(scene.keys.budget(MODEL), field, float(value) - ms)
    for key in (scene.keys.calls(MODEL), scene.keys.promised(MODEL)):
        for member, at in scene.client.zrange(key, 0, -1, withscores=True):
            scene.client.zadd(key, {member: at - ms})


def waits(scene: Scene, limits: CallLimits, count: int) -> list[float | None]:
    """The replies to so many turns, one after another, when each asks for a call."""
    return [scene.turns.reserve_call(call(claim), limits).wait for claim in claims(scene, count)]


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
