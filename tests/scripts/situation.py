"""A situation in which a script is cut: it leads there, and gives the call that is to be cut."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.scripts.scene import Scene, pair
from turnstile.turns.output import said
from turnstile.turns.question import Options
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.store.working import Outcome
from turnstile.turns.turn import Claim

HOOK = {"url": "https://example.org/hook", "key": "k"}
Prepare = Callable[[Scene], Callable[[], Any]]


@dataclass(frozen=True, slots=True)
class Situation:
    """`erases`: what it works on may be gone afterwards."""

    script: str
    name: str
    prepare: Prepare
    erases: bool = False


SITUATIONS: list[Situation] = []


def situation(script: str, *, erases: bool = False) -> Callable[[Prepare], Prepare]:
    """Enter a situation of a script."""

    def enter(prepare: Prepare) -> Prepare:
        SITUATIONS.append(Situation(script, prepare.__name__.strip("_"), prepare, erases))
        return prepare

    return enter


def hooks(scene: Scene) -> TurnStore:
    assert isinstance(scene.turns, TurnStore)
    return scene.turns


def options(*, stream: bool = True, webhook: bool = False) -> Options:
    return Options(stream=stream, webhook=HOOK if webhook else {})


def claimed(scene: Scene, id: str) -> Callable[[], Any]:
    return lambda: scene.turns.claim(id, "w1", "nonce")


def finishing(scene: Scene, claim: Claim, state: State, *, stream: bool) -> Callable[[], Any]:
    if state.answered:
        outcome, messages = Outcome(state, said("an answer"), {"total_tokens": 3}, "gpt"), pair(claim.id)
    else:
        outcome, messages = Outcome(state, code="chain_error", message="It broke."), []
    text = "the end" if stream else ""
    return lambda: scene.turns.finish(claim, outcome, messages, after=claim.sequence, text=text)
