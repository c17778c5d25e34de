"""cancel: cancelled, ended, unknown."""

import json

import pytest

from tests.scripts.conftest import Memory
from tests.scripts.scene import Scene, orders, pair, pairs
from tests.support.wait import PATIENCE_SECONDS
from turnstile.turns.errors import TurnCancelled, UnknownTurn
from turnstile.turns.output import said
from turnstile.turns.settings import MOST_WAITING
from turnstile.turns.states import State
from turnstile.turns.store.working import Outcome


def test_a_waiting_turn_leaves_the_mailbox(scene: Scene) -> None:
    scene.submit("a", "b", "c")
    assert scene.turns.cancel("b") is State.CANCELLED
    assert scene.waiting() == ["c"]
    assert scene.queue() == ["a"]
    assert scene.events("b") == [(1, "ended", 0, "cancelled")]
    with pytest.raises(TurnCancelled):
        scene.turns.status("b").outcome()


def test_a_dispatched_turn_makes_room_for_the_next(scene: Scene) -> None:
    scene.submit("a", "b")
    scene.turns.cancel("a")
    assert scene.queue() == ["a", "b"]
    assert scene.turns.claim("a", "w1", "n") == "stale"
    scene.claim("b")


def test_a_running_turn_is_fenced_and_the_session_moves_on(scene: Scene) -> None:
    claim = scene.start("a")
    scene.submit("b")
    assert scene.turns.cancel("a") is State.CANCELLED
    assert scene.queue() == ["b"]
    assert scene.client.keys(scene.keys.owned("*")) == []
    assert scene.turns.renew("w1", [claim]) == ["cancelled"]
    assert scene.events("a")[-1] == (2, "ended", 1, "cancelled")


def test_the_worker_is_told_at_once(scene: Scene) -> None:
    scene.start("a", worker="w1")
    with orders(scene, "w1") as listener:
        scene.turns.cancel("a")
        message = listener.get_message(timeout=PATIENCE_SECONDS)
    assert message is not None
    assert message["data"] == "a"


def test_a_worker_is_not_told_of_turns_that_it_does_not_run(scene: Scene) -> None:
    scene.start("a", worker="w1")
    scene.submit("b")
    with orders(scene, "w1") as listener:
        scene.turns.cancel("b")
        assert listener.get_message(timeout=0.05) is None


def test_the_last_turn_leaves_the_session_idle(scene: Scene) -> None:
    scene.start("a")
    scene.turns.cancel("a")
    scene.assert_idle()
    scene.assert_all_will_expire()


def test_a_lost_reply_is_given_again(scene: Scene) -> None:
    scene.start("a")
    scene.submit("b")
    scene.turns.cancel("a")
    before = scene.picture()
    assert scene.turns.cancel("a") is State.CANCELLED
    assert scene.picture() == before


def test_the_end_that_came_first_stands(scene: Scene) -> None:
    scene.complete(scene.start("a"))
    scene.fail(scene.start("b"))
    before = scene.picture()
    assert scene.turns.cancel("a") is State.COMPLETED
    assert scene.turns.cancel("b") is State.FAILED
    assert scene.picture() == before
    assert scene.history() == pair("a")


def test_nobody_knows_the_turn(scene: Scene) -> None:
    with pytest.raises(UnknownTurn):
        scene.turns.cancel("a")
    scene.complete(scene.start("b"))
    scene.turns.erase("foo")
    with pytest.raises(UnknownTurn):
        scene.turns.cancel("b")


def test_every_place_in_the_mailbox(scene: Scene) -> None:
    ids = [f"t{number}" for number in range(6)]
    scene.submit(*ids)
    for id in ("t5", "t1", "t0", "t3"):
        scene.turns.cancel(id)
    assert scene.waiting() == ["t4"]
    assert scene.seat()["head"] == "t2"
    assert (scene.stat("cancelled"), scene.stat("open")) == (4, 2)


def test_a_turn_whose_lease_ran_out_can_be_cancelled(scene: Scene) -> None:
    scene.start("a")
    scene.expire_lease()
    scene.turns.cancel("a")
    assert scene.turns.sweep().seen == 0
    scene.assert_idle()


@pytest.mark.parametrize(("revoked", "word"), [(True, "TaskRevokedError"), (False, "TurnCancelled")])
def test_a_celery_caller_is_told_how(scene: Scene, revoked: bool, word: str) -> None:
    scene.submit("a", reply=True)
    assert scene.turns.cancel("a", revoked=revoked) is State.CANCELLED
    result = json.loads(scene.client.get(scene.keys.celery_result("a")))
    assert (result["status"], result["result"]["exc_type"]) == ("REVOKED" if revoked else "FAILURE", word)
    assert scene.turns.cancel("a", revoked=not revoked) is State.CANCELLED
    assert json.loads(scene.client.get(scene.keys.celery_result("a"))) == result


def test_turns_are_cancelled_without_memory(cramped: tuple[Scene, Memory]) -> None:
    scene, memory = cramped
    scene.start("a")
    scene.submit("b", "c")
    memory.fill()
    assert scene.turns.cancel("c") is State.CANCELLED
    assert scene.turns.cancel("a") is State.CANCELLED
    assert scene.queue() == ["b"]


def test_one_that_waits_too_far_back_is_passed_over(scene: Scene) -> None:
    """A mailbox of an earlier version may hold more than are looked at."""
    claim = scene.start("a")
    scene.submit("b", "c")
    scene.client.lpush(scene.keys.mailbox("foo"), *(f"gone{number}" for number in range(MOST_WAITING)))
    assert scene.turns.cancel("b") is State.CANCELLED
    assert scene.waiting()[-2:] == ["b", "c"]
    scene.client.ltrim(scene.keys.mailbox("foo"), -2, -1)
    scene.complete(claim)
    assert scene.waiting() == []
    scene.complete(scene.claim("c"))
    assert scene.history() == pairs(["a", "c"])
    scene.assert_idle()


@pytest.mark.parametrize("phase", ["ready", "delayed", "running"])
def test_one_that_has_been_at_work_ends_by_its_worker_with_what_it_has_said(scene: Scene, phase: str) -> None:
    claim = scene.start("a")
    scene.submit("b")
    if phase != "running":
        scene.turns.requeue(claim, 60 if phase == "delayed" else 0)
    with orders(scene, "w1") as listener:
        assert scene.turns.cancel("a", keep=True) is (State.RUNNING if phase == "running" else State.QUEUED)
        message = listener.get_message(timeout=PATIENCE_SECONDS if phase == "running" else 0.05)
    assert [message["data"]] == ["interrupt a"] if message else phase != "running"
    if phase != "running":
        claim = scene.claim(str(scene.pop()))
        assert claim.interrupted
    assert scene.turns.renew("w1", [claim]) == ["interrupted"]
    assert (
        scene.turns.finish(claim, Outcome(State.INCOMPLETE, said("half an"), code="interrupted"), pair("a")) is State.INCOMPLETE
    )
    assert (scene.queue()[-1:], scene.history()) == (["b"], pair("a"))


def test_one_that_has_not_begun_has_nothing_to_keep(scene: Scene) -> None:
    scene.submit("a", "b")
    assert [scene.turns.cancel(id, keep=True) for id in ("b", "a")] == [State.CANCELLED, State.CANCELLED]
    scene.assert_idle()


def test_the_end_that_came_before_it_was_to_be_kept_stands(scene: Scene) -> None:
    scene.complete(scene.start("a"))
    before = scene.picture()
    assert scene.turns.cancel("a", keep=True) is State.COMPLETED
    assert scene.picture() == before


def test_unfinished_turns_are_told_in_their_order(scene: Scene) -> None:
    assert scene.turns.unfinished("foo") == []
    claim = scene.start("a")
    scene.submit("b", "c", "d")
    scene.submit("x", session="other")
    assert scene.turns.unfinished("foo") == ["a", "b", "c", "d"]
    assert [scene.turns.unfinished("foo", limit) for limit in (1, 2)] == [["a"], ["a", "b"]]
    scene.turns.cancel("c")
    scene.complete(claim)
    assert scene.turns.unfinished("foo") == ["b", "d"]
    scene.hold(scene.claim("b"))
    assert scene.turns.unfinished("foo") == ["d"]
    scene.turns.erase("foo")
    assert scene.turns.unfinished("foo") == []
