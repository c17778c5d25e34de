"""Moves in a held session that several tests make."""

from typing import Any

from tests.scripts.scene import WEATHER, Scene, closing, dangling
from turnstile.turns.output import approval_request
from turnstile.turns.states import State

NONE = closing("a", (WEATHER,))
PAY = approval_request("i1", 0, "pay", '{"amount":1}')


def hold(scene: Scene, *calls: dict[str, Any], session: str = "foo") -> None:
    """Turn `a` ends with open calls; `b` waits."""
    scene.hold(scene.start("a", session=session), *calls)
    scene.submit("b", session=session)


def run(scene: Scene, id: str) -> None:
    """Claim a dispatched turn, look at what its model is given, and complete it."""
    assert scene.pop() == id
    claim = scene.claim(id)
    assert set(dangling(reversed(claim.window))) == claim.answers.keys()
    assert scene.complete(claim) is State.COMPLETED
