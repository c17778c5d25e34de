"""requeue: requeued, replay, superseded."""

import pytest

from tests.scripts.conftest import Memory
from tests.scripts.scene import Scene
from turnstile.turns.states import State


def test_at_once_to_another_worker(scene: Scene) -> None:
    claim = scene.start("a")
    scene.submit("b")
    assert scene.turns.requeue(claim) is True
    assert scene.queue() == ["a"]
    assert scene.state("a") is State.QUEUED
    assert not {"owner", "lease", "worker"} & scene.seat().keys()
    assert scene.client.keys(scene.keys.owned("*")) == []
    assert scene.turns.claim("b", "w2", "n") == "stale"
    assert scene.claim("a", "w2").attempt == 2


def test_after_a_delay(scene: Scene) -> None:
    claim = scene.start("a")
    scene.turns.requeue(claim, delay=30)
    assert scene.queue() == []
    assert scene.turns.sweep().seen == 0
    due = scene.client.zscore(scene.keys.due, "foo")
    assert due == pytest.approx((claim.now + 30) * 1000, abs=2_000)
    scene.make_due()
    assert scene.turns.sweep().retried == 1
    assert scene.queue() == ["a"]
    assert scene.turns.sweep().seen == 0


@pytest.mark.parametrize("delay", [0, 0.0001, 30])
@pytest.mark.parametrize("forgive", [False, True])
def test_a_lost_reply_is_given_again(scene: Scene, delay: float, forgive: bool) -> None:
    claim = scene.start("a")
    scene.turns.requeue(claim, delay, forgive=forgive)
    before = scene.picture()
    assert scene.turns.requeue(claim, delay, forgive=forgive) is True
    assert scene.picture() == before


def test_a_repeat_that_comes_late_disturbs_nobody(scene: Scene) -> None:
    claim = scene.start("a")
    scene.turns.requeue(claim)
    other = scene.claim("a", "w2")
    before = scene.picture()
    scene.turns.requeue(claim)
    assert scene.picture() == before
    scene.complete(other)
    before = scene.picture()
    scene.turns.requeue(claim)
    assert scene.picture() == before


def test_only_the_owner_gives_a_turn_back(scene: Scene) -> None:
    zombie = scene.start("a")
    scene.lose()
    claim = scene.claim("a", "w2")
    before = scene.picture()
    assert scene.turns.requeue(zombie) is False
    assert scene.turns.requeue(zombie, delay=9, forgive=True) is False
    assert scene.picture() == before
    assert scene.turns.requeue(claim) is True


def test_an_ended_turn_cannot_be_given_back(scene: Scene) -> None:
    ended, cancelled, erased = (scene.start(id, session=id) for id in "abc")
    scene.complete(ended)
    scene.turns.cancel("b")
    scene.turns.erase("c")
    before = scene.picture()
    for claim in (ended, cancelled, erased):
        assert scene.turns.requeue(claim) is False
    assert scene.picture() == before


def test_a_turn_that_waits_for_its_retry_can_be_cancelled(scene: Scene) -> None:
    claim = scene.start("a")
    scene.submit("b")
    scene.turns.requeue(claim, delay=30)
    assert scene.turns.cancel("a") is State.CANCELLED
    assert scene.queue() == ["b"]


def test_counted(scene: Scene) -> None:
    scene.turns.requeue(scene.start("a"))
    scene.turns.requeue(scene.claim("a"), delay=1)
    assert (scene.stat("requeued"), scene.stat("open"), scene.stat("claimed")) == (2, 1, 2)


def test_turns_are_given_back_without_memory(cramped: tuple[Scene, Memory]) -> None:
    scene, memory = cramped
    now, later = scene.start("a", session="s1"), scene.start("b", session="s2")
    memory.fill()
    assert scene.turns.requeue(now) is True
    assert scene.turns.requeue(later, delay=5) is True
    assert scene.queue() == ["a"]
