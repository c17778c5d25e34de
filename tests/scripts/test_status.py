"""status: a record and its place, or nothing."""

import pytest

from tests.scripts.conftest import Memory
from tests.scripts.scene import Scene
from turnstile.turns.errors import UnknownTurn
from turnstile.turns.states import State


def test_a_turn_s_life(scene: Scene) -> None:
    scene.submit("z", "a")
    waiting = scene.turns.status("a")
    assert (waiting.state, waiting.place, waiting.attempts, waiting.dispatches) == (State.QUEUED, 1, 0, 0)
    assert (waiting.started, waiting.finished, waiting.answer, waiting.usage, waiting.code) == (None,) * 5
    scene.complete(scene.claim("z"))
    dispatched = scene.turns.status("a")
    assert (dispatched.state, dispatched.place, dispatched.dispatches) == (State.QUEUED, 0, 1)
    claim = scene.claim("a")
    running = scene.turns.status("a")
    assert (running.state, running.attempts, running.started) == (State.RUNNING, 1, claim.started)
    scene.fail(claim)
    failed = scene.turns.status("a")
    assert (failed.state, failed.code, failed.message, failed.answer) == (State.FAILED, "chain_error", "It broke.", None)


def test_places_move_up(scene: Scene) -> None:
    scene.submit("a", "b", "c", "d")
    assert [scene.turns.status(id).place for id in "abcd"] == [0, 1, 2, 3]
    scene.turns.cancel("b")
    scene.turns.cancel("a")
    assert [scene.turns.status(id).place for id in "cd"] == [0, 1]


def test_nobody_knows_the_turn(scene: Scene) -> None:
    with pytest.raises(UnknownTurn, match="never accepted"):
        scene.turns.status("a")


def test_reading_changes_nothing_and_needs_no_memory(cramped: tuple[Scene, Memory]) -> None:
    scene, memory = cramped
    scene.submit("a")
    memory.fill()
    before = scene.picture()
    assert scene.turns.status("a").state is State.QUEUED
    assert scene.turns.stats()["open"] == 1
    assert scene.picture() == before
