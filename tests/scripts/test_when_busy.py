"""A question in a session that is at work on another: the policies, one by one."""

import pytest

from tests.scripts.conftest import Stage
from tests.scripts.cutting import cut
from tests.scripts.held_scene import NONE, hold, run
from tests.scripts.scene import WEATHER, Scene, asking, orders, pair, pairs
from tests.support.wait import PATIENCE_SECONDS
from turnstile.turns.errors import InvalidTurn, SessionBusy, SessionHeld
from turnstile.turns.output import said
from turnstile.turns.question import Options
from turnstile.turns.states import State
from turnstile.turns.store.working import Outcome


def test_a_policy_that_there_is_not_is_named(scene: Scene) -> None:
    with pytest.raises(InvalidTurn, match=r"when_busy.*queue, reject"):
        scene.turns.submit("a", "foo", "hi", when_busy="wait")


def test_who_will_not_wait_is_refused_and_nothing_is_stored(scene: Scene) -> None:
    assert scene.turns.submit("a", "foo", "hi", when_busy="reject").fresh
    for _ in ("dispatched", "running"):
        before = scene.picture()
        with pytest.raises(SessionBusy, match="another turn"):
            scene.turns.submit("b", "foo", "hi", when_busy="reject")
        assert not scene.turns.submit("a", "foo", "hi", when_busy="reject").fresh
        assert scene.picture() == before
        if (id := scene.pop()) is not None:
            claim = scene.claim(id)
    assert scene.turns.submit("b", "bar", "hi", when_busy="reject").place == 0
    scene.complete(claim)
    assert scene.turns.submit("c", "foo", "hi", when_busy="reject").place == 0


def test_who_follows_a_turn_that_runs_is_refused_and_on_a_branch_is_not(scene: Scene) -> None:
    scene.complete(scene.start("a"))
    claim = scene.start("b")
    with pytest.raises(SessionBusy):
        scene.turns.follow("c", "b", "branch", "hi", when_busy="reject")
    assert scene.turns.follow("d", "a", "branch", "hi", when_busy="reject").session == "branch"
    scene.complete(claim)
    assert scene.turns.follow("c", "b", "other", "hi", when_busy="reject").session == "foo"


def test_open_calls_are_not_waited_for_either_unless_somebody_says_so(scene: Scene) -> None:
    hold(scene)
    with pytest.raises(SessionHeld):
        scene.turns.submit("c", "foo", "hi", when_busy="reject")
    assert scene.turns.submit("c", "foo", "hi", when_busy="reject", when_held="queue").place == 2


def test_an_answer_to_open_calls_is_no_question(scene: Scene) -> None:
    hold(scene)
    assert scene.turns.submit("c", "foo", "", Options(answers={"call_1": "sunny"}), when_busy="reject").place == 0


def test_the_setting_is_for_questions_that_somebody_waits_for(stage: Stage) -> None:
    scene = stage.open(when_busy="reject")
    scene.start("a")
    with pytest.raises(SessionBusy):
        scene.submit("b")
    assert scene.turns.submit("c", "foo", "hi", Options(queue="batch")).place == 1
    assert scene.turns.submit("d", "foo", "hi", when_busy="queue").place == 2
    assert scene.state("d") is State.QUEUED


def test_a_repeat_is_not_refused_by_its_own_place(scene: Scene) -> None:
    with cut(scene.turns, "submit_held", 3) as happened:
        scene.turns.submit("a", "foo", "hi", when_busy="reject")
    assert happened
    assert scene.seat()["head"] == "a"
    assert scene.turns.submit("a", "foo", "hi", when_busy="reject").place == 0
    assert scene.complete(scene.claim("a")) is State.COMPLETED


@pytest.mark.parametrize("way", ["interrupt", "rollback"])
def test_nothing_is_stopped_where_nothing_is_under_way(scene: Scene, way: str) -> None:
    assert scene.turns.submit("a", "foo", "hi", when_busy=way).place == 0
    before = scene.picture()
    assert not scene.turns.submit("a", "foo", "hi", when_busy=way).fresh
    assert scene.picture() == before


def test_a_rollback_cancels_what_runs_and_the_others_go_in_order(scene: Scene) -> None:
    claim = scene.start("a")
    scene.submit("b")
    assert scene.turns.submit("c", "foo", "hi", when_busy="rollback").place == 1
    assert scene.state("a") is State.CANCELLED
    assert scene.turns.renew("w1", [claim]) == ["cancelled"]
    assert scene.complete(claim) is None
    assert (scene.queue(), scene.waiting()) == (["b"], ["c"])
    for id in ("b", "c"):
        assert scene.pop() == id
        scene.complete(scene.claim(id))
    assert scene.history() == pairs("bc")
    scene.assert_idle()


@pytest.mark.parametrize("phase", ["dispatched", "ready", "delayed", "running"])
def test_a_rollback_concerns_the_turn_at_the_head_whatever_it_waits_for(scene: Scene, phase: str) -> None:
    _reach(scene, phase)
    assert scene.turns.submit("b", "foo", "hi", when_busy="rollback").place == 0
    assert (scene.state("a"), scene.seat()["head"]) == (State.CANCELLED, "b")


def test_a_repeat_rolls_back_no_other_turn(scene: Scene) -> None:
    scene.start("a")
    scene.turns.submit("b", "foo", "hi", when_busy="rollback")
    scene.claim("b")
    scene.submit("c")
    before = scene.picture()
    assert scene.turns.submit("b", "foo", "hi", when_busy="rollback").state is State.RUNNING
    assert scene.picture() == before


@pytest.mark.parametrize("writes", range(1, 40))
@pytest.mark.parametrize("way", ["interrupt", "rollback"])
def test_a_repeat_after_a_cut_stops_the_same_turn_and_no_other(scene: Scene, way: str, writes: int) -> None:
    scene.start("a")
    scene.submit("b")
    with cut(scene.turns, "submit_held", writes):
        scene.turns.submit("c", "foo", "hi", when_busy=way)
    scene.turns.submit("c", "foo", "hi", when_busy=way)
    marked = scene.client.hget(scene.keys.turn("a"), "busy") == "interrupt"
    assert marked == (way == "interrupt")
    assert (scene.state("a") is State.CANCELLED) == (way == "rollback")
    assert scene.state("b") is State.QUEUED
    assert scene.client.hmget(scene.keys.turn("b"), "busy") == [None]
    assert scene.client.hmget(scene.keys.turn("c"), "stops") == [None]


def test_an_interrupted_turn_ends_by_its_own_worker_which_hears_of_it(scene: Scene) -> None:
    claim = scene.start("a")
    scene.submit("b")
    with orders(scene, "w1") as listener:
        assert scene.turns.submit("c", "foo", "hi", when_busy="interrupt").place == 2
        message = listener.get_message(timeout=PATIENCE_SECONDS)
    assert message is not None
    assert message["data"] == "interrupt a"
    assert scene.turns.renew("w1", [claim]) == ["interrupted"]
    assert scene.state("a") is State.RUNNING
    outcome = Outcome(State.INCOMPLETE, said("half an"), code="interrupted")
    assert scene.turns.finish(claim, outcome, pair("a")) is State.INCOMPLETE
    assert (scene.queue(), scene.waiting(), scene.history()) == (["b"], ["c"], pair("a"))


def test_an_answer_that_is_whole_by_then_counts(scene: Scene) -> None:
    claim = scene.start("a")
    scene.turns.submit("b", "foo", "hi", when_busy="interrupt")
    assert scene.complete(claim) is State.COMPLETED
    assert scene.pop() == "b"
    assert not scene.claim("b").interrupted


@pytest.mark.parametrize("phase", ["dispatched", "ready", "delayed", "running"])
def test_whoever_claims_an_interrupted_turn_is_told(scene: Scene, phase: str) -> None:
    _reach(scene, phase)
    scene.turns.submit("b", "foo", "hi", when_busy="interrupt")
    if phase == "running":
        scene.lose()
    elif phase == "ready":
        scene.client.delete("chat")
        scene.turns.sweep()
    assert "a" in scene.queue()
    assert scene.claim("a").interrupted


def test_a_retry_of_an_interrupted_turn_begins_anew(scene: Scene) -> None:
    claim = scene.start("a")
    scene.turns.submit("b", "foo", "hi", when_busy="interrupt")
    scene.fail(claim)
    scene.complete(scene.claim(str(scene.pop())))
    scene.turns.retry("a")
    assert not scene.claim(str(scene.pop())).interrupted


@pytest.mark.parametrize("way", ["interrupt", "rollback"])
def test_open_calls_are_closed_and_the_question_goes(scene: Scene, way: str) -> None:
    scene.hold(scene.start("a"))
    assert scene.turns.submit("b", "foo", "hi", when_busy=way).place == 0
    run(scene, "b")
    assert scene.history() == [*asking("a", WEATHER), *NONE, *pair("b")]


def test_a_rollback_of_answers_closes_their_calls(scene: Scene) -> None:
    hold(scene)
    scene.answer("c")
    scene.claim(str(scene.pop()))
    assert scene.turns.submit("d", "foo", "hi", when_busy="rollback").place == 1
    assert scene.history() == [*asking("a", WEATHER), *NONE]
    run(scene, "b")
    run(scene, "d")


@pytest.mark.parametrize("way", ["interrupt", "rollback"])
def test_who_follows_stops_the_turn_before(scene: Scene, way: str) -> None:
    scene.complete(scene.start("a"))
    scene.start("b")
    assert scene.turns.follow("c", "b", "branch", "hi", when_busy=way).place == (1 if way == "interrupt" else 0)
    assert scene.state("b") is (State.RUNNING if way == "interrupt" else State.CANCELLED)
    assert not scene.turns.follow("c", "b", "branch", "hi", when_busy=way).fresh
    assert scene.turns.follow("d", "a", "branch", "hi", when_busy=way).session == "branch"
    assert scene.client.hget(scene.keys.turn("b"), "busy") == ("interrupt" if way == "interrupt" else None)


@pytest.mark.parametrize("way", ["interrupt", "rollback"])
def test_an_erase_leaves_nothing_to_stop(scene: Scene, way: str) -> None:
    claim = scene.start("a")
    scene.turns.submit("b", "foo", "hi", when_busy=way)
    scene.turns.erase("foo")
    assert scene.complete(claim) is None
    assert scene.turns.submit("b", "foo", "hi", when_busy=way).fresh
    assert scene.complete(scene.claim("b")) is State.COMPLETED
    assert scene.history() == pair("b")


def _reach(scene: Scene, phase: str) -> None:
    """Bring turn `a` to the head of session `foo`, and the session into a phase."""
    if phase == "ready":
        scene.let_stand(1)
        scene.submit("x", session="other")
    scene.submit("a")
    if phase in ("delayed", "running"):
        claim = scene.claim(str(scene.pop()))
        if phase == "delayed":
            scene.turns.requeue(claim, 60)
    assert scene.seat()["phase"] == phase
