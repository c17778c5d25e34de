"""The time to live of histories and conversations, when processes with other settings have written before."""

from collections.abc import Callable

import pytest

from tests.scripts.conftest import Stage
from tests.scripts.scene import Scene, pair
from tests.scripts.test_follow import answer
from turnstile.turns.settings import Settings

FOR_EVER = -1
Act = Callable[[Scene], object]


def _finish(scene: Scene) -> None:
    scene.complete(scene.start("b"))


def _fail(scene: Scene) -> None:
    scene.fail(scene.start("b"))


def _cancel_waiting(scene: Scene) -> None:
    claim = scene.start("b")
    scene.submit("c")
    scene.turns.cancel("c")
    scene.complete(claim)


def _cancel(scene: Scene) -> None:
    scene.start("b")
    scene.turns.cancel("b")


def _lose(scene: Scene) -> None:
    scene.start("b")
    scene.lose(times=Settings().max_attempts)


def _amend(scene: Scene) -> None:
    scene.turns.amend("foo", {"topic": "cake"}, pair("more"))


def _follow(scene: Scene) -> None:
    scene.turns.follow("b", "a", "branch", "hi")
    scene.pop()
    scene.complete(scene.claim("b"))


ACTS = (_finish, _fail, _cancel, _cancel_waiting, _lose, _amend, _follow)


@pytest.fixture
def said(scene: Scene) -> Scene:
    """Return a session that has been begun, and that has a history of one turn."""
    scene.turns.begin("foo", {"topic": "tea"}, pair("greeting"))
    scene.complete(scene.start("a"))
    return scene


def _lives(scene: Scene, session: str = "foo") -> set[int]:
    keys = (scene.keys.history(session), scene.keys.conversation(session))
    return {round(life / 1000) if (life := scene.client.pttl(key)) > 0 else life for key in keys}


def _shorten(scene: Scene) -> None:
    for key in (scene.keys.history("foo"), scene.keys.conversation("foo")):
        assert scene.client.pexpire(key, 8_000)


@pytest.mark.parametrize("act", ACTS)
def test_another_s_time_to_live_is_taken_away(said: Scene, act: Act) -> None:
    _shorten(said)
    act(said)
    assert _lives(said) == {FOR_EVER}


@pytest.mark.parametrize("act", ACTS)
def test_a_time_to_live_is_given_again(said: Scene, stage: Stage, act: Act) -> None:
    _shorten(said)
    scene = stage.open(history_ttl=600)
    act(scene)
    assert _lives(scene) == {600}


def test_a_branch_does_not_inherit_another_s_time_to_live(scene: Scene) -> None:
    answer(scene, "a")
    answer(scene, "b")
    scene.client.pexpire(scene.keys.history("foo"), 8_000)
    scene.turns.follow("c", "a", "branch", "hi")
    assert scene.client.pttl(scene.keys.history("branch")) == FOR_EVER


def test_a_branch_never_stays_for_ever(stage: Stage) -> None:
    scene = stage.open(failed_ttl=700, result_ttl=500)
    answer(scene, "a")
    answer(scene, "b")
    scene.turns.follow("c", "a", "branch", "hi")
    assert _lives(scene, "branch") == {FOR_EVER}
    scene.pop()
    scene.complete(scene.claim("c"))
    assert _lives(scene, "branch") == {700}
    assert scene.client.pttl(scene.keys.history("foo")) == FOR_EVER
    scene.turns.follow("d", "c", "other", "hi")
    assert _lives(scene, "branch") == {FOR_EVER}


def test_nothing_expires_while_a_turn_is_open(stage: Stage, said: Scene) -> None:
    scene = stage.open(history_ttl=600)
    claim = scene.start("b")
    assert _lives(scene) == {FOR_EVER}
    scene.submit("c")
    scene.complete(claim)
    _amend(scene)
    assert _lives(scene) == {FOR_EVER}
    scene.complete(scene.claim("c"))
    assert _lives(scene) == {600}
    assert _lives(said) == {600}


def test_a_history_may_live_for_years(stage: Stage, said: Scene) -> None:
    scene = stage.open(history_ttl=3_650 * 86_400)
    scene.complete(scene.start("b"))
    assert _lives(scene) == {3_650 * 86_400}


def test_a_retried_turn_keeps_the_history(said: Scene, stage: Stage) -> None:
    scene = stage.open(history_ttl=600)
    _fail(scene)
    assert _lives(scene) == {600}
    said.turns.retry("b")
    assert _lives(scene) == {FOR_EVER}
