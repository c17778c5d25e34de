"""retry: accepted, ended, unknown."""

import pytest

from tests.scripts.conftest import Memory, Stage
from tests.scripts.scene import Scene, pairs
from turnstile.turns.errors import QueueMemoryFull, TooManyWaiting, UnknownTurn
from turnstile.turns.output import refused, said
from turnstile.turns.states import State
from turnstile.turns.store.working import Outcome


def test_a_failed_turn_runs_again_with_all_its_chances(scene: Scene) -> None:
    first = scene.start("a", reply=True)
    scene.turns.requeue(first)
    scene.fail(scene.claim("a"))
    assert scene.turns.retry("a") is State.QUEUED
    record = scene.turns.status("a")
    assert (record.state, record.code, record.message, record.started, record.finished) == (State.QUEUED, *(None,) * 4)
    assert scene.client.ttl(scene.keys.turn("a")) == -1
    assert scene.turns.failed() == []
    assert (scene.stat("failed"), scene.stat("open")) == (0, 1)
    assert not scene.client.exists(scene.keys.celery_result("a"))
    claim = scene.claim("a")
    assert (claim.attempt, claim.attempts_left) == (3, 4)
    assert scene.complete(claim) is State.COMPLETED
    scene.assert_idle()
    scene.assert_all_will_expire()


def test_what_a_filter_left_of_the_answer_is_forgotten(scene: Scene) -> None:
    scene.turns.finish(scene.start("a"), Outcome(State.FAILED, refused("half"), code="content_filter", message="Stopped."))
    scene.turns.retry("a")
    assert scene.turns.status("a").output == ()
    scene.complete(scene.claim("a"), "whole")
    assert scene.turns.status("a").output == said("whole")


def test_it_goes_behind_those_who_wait(scene: Scene) -> None:
    scene.fail(scene.start("a"))
    scene.submit("b", "c")
    scene.turns.retry("a")
    assert scene.waiting() == ["c", "a"]
    assert scene.turns.status("a").place == 2
    for id in "bca":
        scene.complete(scene.claim(id))
    assert scene.history() == pairs("bca")


def test_a_lost_reply_is_given_again(scene: Scene) -> None:
    scene.fail(scene.start("a"))
    scene.turns.retry("a")
    before = scene.picture()
    assert scene.turns.retry("a") is State.QUEUED
    assert scene.picture() == before
    scene.claim("a")
    assert scene.turns.retry("a") is State.RUNNING


def test_only_a_failed_turn(scene: Scene) -> None:
    scene.complete(scene.start("a"))
    scene.submit("b")
    scene.turns.cancel("b")
    before = scene.picture()
    assert scene.turns.retry("a") is State.COMPLETED
    assert scene.turns.retry("b") is State.CANCELLED
    assert scene.picture() == before


def test_nobody_knows_the_turn(scene: Scene) -> None:
    with pytest.raises(UnknownTurn):
        scene.turns.retry("a")


def test_the_worker_that_failed_it_has_no_more_say(scene: Scene) -> None:
    zombie = scene.start("a")
    scene.fail(zombie)
    scene.turns.retry("a")
    before = scene.picture()
    assert scene.fail(zombie) is None
    assert scene.turns.requeue(zombie) is False
    assert scene.picture() == before
    scene.claim("a", "w2")
    assert scene.complete(zombie) is None


def test_readers_see_new_events_after_the_old_ones(scene: Scene) -> None:
    scene.fail(scene.start("a"))
    old = scene.turns.events("a")[-1].sequence
    scene.turns.retry("a")
    assert scene.events("a") == []
    scene.complete(scene.claim("a"))
    assert scene.events("a") == [(old + 1, "started", 2, ""), (old + 2, "ended", 2, "completed")]


def test_a_turn_that_killed_its_workers_may_be_retried(stage: Stage) -> None:
    scene = stage.open(max_attempts=2)
    scene.start("a")
    scene.lose(times=2)
    assert scene.turns.status("a").code == "worker_lost"
    scene.turns.retry("a")
    scene.claim("a")
    scene.lose()
    assert scene.state("a") is State.QUEUED
    scene.claim("a")
    scene.lose()
    assert scene.state("a") is State.FAILED


def test_without_memory_there_is_no_new_work(cramped: tuple[Scene, Memory]) -> None:
    scene, memory = cramped
    scene.fail(scene.start("a"))
    memory.fill()
    before = scene.picture()
    with pytest.raises(QueueMemoryFull):
        scene.turns.retry("a")
    assert scene.picture() == before


def test_the_cap_of_a_session_holds_for_retries(stage: Stage) -> None:
    scene = stage.open(max_waiting_per_session=1)
    scene.fail(scene.start("a"))
    scene.start("b")
    scene.submit("c")
    before = scene.picture()
    with pytest.raises(TooManyWaiting, match="TURNSTILE_MAX_WAITING_PER_SESSION"):
        scene.turns.retry("a")
    assert scene.picture() == before
