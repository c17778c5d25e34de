"""Turns that follow a held one by its id, as the gateway has it: in time, late, and without answers."""

from collections.abc import Callable

import pytest

from tests.scripts.held_scene import NONE, PAY, hold, run
from tests.scripts.scene import TIME, WEATHER, Scene, asking, dangling, pair
from turnstile.turns.errors import CallNotOpen, SessionHeld, TurnNotEnded
from turnstile.turns.output import call_name
from turnstile.turns.question import Options
from turnstile.turns.states import State
from turnstile.turns.store.working import Outcome


def test_who_follows_the_held_turn_with_answers_answers(scene: Scene) -> None:
    hold(scene)
    done = scene.turns.follow("c", "a", "branch", "", Options(answers={"call_1": "sunny"}))
    assert (done.session, done.place) == ("foo", 0)
    again = scene.turns.follow("other", "a", "branch2", "", Options(answers={"call_1": "sunny"}))
    assert (again.id, again.session, again.fresh) == ("c", "foo", False)
    run(scene, "c")
    run(scene, "b")
    scene.assert_idle()


@pytest.mark.parametrize(("when_held", "place"), [("queue", 1), ("close", 0)])
def test_who_follows_the_held_turn_without_answers_waits_or_closes(scene: Scene, when_held: str, place: int) -> None:
    scene.hold(scene.start("a"))
    done = scene.turns.follow("c", "a", "branch", "hi", when_held=when_held)
    assert (done.session, done.place) == ("foo", place)
    if when_held == "queue":
        scene.turns.release_session("foo")
    run(scene, "c")
    assert scene.history() == [*asking("a", WEATHER), *NONE, *pair("c")]
    scene.hold(scene.start("d"))
    with pytest.raises(SessionHeld):
        scene.turns.follow("e", "d", "branch", "hi", when_held="reject")


def close_and_go_on(scene: Scene) -> None:
    scene.turns.release_session("foo")
    run(scene, "b")


def answer_and_go_on(scene: Scene) -> None:
    scene.answer("z", call_1="rainy")
    run(scene, "z")
    run(scene, "b")


def marked(scene: Scene) -> None:
    """As `hold`, with the marks by which a branch tells where a turn ended."""
    claim = scene.start("a")
    elements = [
        element.replace('{"type"', '{"turnstile": {"turn": "a", "at": 1}, "type"', 1) for element in asking("a", WEATHER)
    ]
    closings = [element.replace('{"type"', '{"turnstile": {"turn": "a", "at": 1}, "type"', 1) for element in NONE]
    scene.turns.finish(claim, Outcome(State.COMPLETED, (WEATHER,), closing=closings), elements)
    scene.submit("b")


@pytest.mark.parametrize("go_on", [close_and_go_on, answer_and_go_on])
def test_late_answers_are_given_in_a_branch(scene: Scene, go_on: Callable[[Scene], None]) -> None:
    marked(scene)
    go_on(scene)
    before = scene.history()
    done = scene.turns.follow("c", "a", "branch", "", Options(answers={"call_1": "sunny"}))
    assert (done.session, done.place) == ("branch", 0)
    assert len(scene.history("branch")) == 2
    assert scene.pop() == "c"
    claim = scene.claim("c")
    assert (claim.thread, claim.session) == ("c", "branch")
    assert dangling(reversed(claim.window)) == ["call_1"]
    scene.fail(claim)
    assert scene.seat("branch")["phase"] == "held"
    scene.expire_lease("branch")
    scene.turns.sweep()
    assert dangling(scene.history("branch")) == []
    assert len(scene.history("branch")) == 3
    assert scene.history() == before
    scene.assert_idle("foo", "branch")


@pytest.mark.parametrize("go_on", [close_and_go_on, answer_and_go_on, lambda _: None])
def test_a_branch_at_a_held_turn_has_no_open_call(scene: Scene, go_on: Callable[[Scene], None]) -> None:
    marked(scene)
    go_on(scene)
    assert scene.turns.follow("c", "a", "branch", "hi").session == "branch"
    assert len(scene.history("branch")) == 3
    run(scene, "c")
    assert dangling(scene.history("branch")) == []


def test_closing_elements_alone_are_nothing_that_followed(scene: Scene) -> None:
    scene.hold(scene.start("a"), WEATHER, TIME)
    scene.turns.release_session("foo")
    assert scene.turns.follow("b", "a", "branch", "hi").session == "foo"
    run(scene, "b")
    assert dangling(scene.history()) == []


def test_a_late_decision_is_refused(scene: Scene) -> None:
    hold(scene, PAY)
    scene.turns.release_session("foo")
    run(scene, "b")
    with pytest.raises(CallNotOpen, match="mcpr_"):
        scene.turns.follow("c", "a", "branch", "", Options(answers={call_name(PAY): "approve"}))
    assert scene.history("branch") == []


def test_answers_to_a_turn_without_calls_are_refused(scene: Scene) -> None:
    scene.complete(scene.start("a"))
    with pytest.raises(CallNotOpen, match="call_1"):
        scene.turns.follow("b", "a", "branch", "", Options(answers={"call_1": "sunny"}))


def merged(scene: Scene) -> None:
    """Questions `a` and `b` are one turn, which ends with an open call."""
    for id in "ab":
        scene.turns.submit(id, "foo", f"question {id}", when_busy="merge")
    claim = scene.claim(str(scene.pop()))
    assert [other.id for other in scene.turns.merge(claim) or ()] == ["b"]
    marks = [element.replace('{"type"', '{"turnstile": {"turn": "a", "at": 1}, "type"', 1) for element in asking("a", WEATHER)]
    scene.turns.finish(claim, Outcome(State.COMPLETED, (WEATHER,), closing=NONE), marks)


@pytest.mark.parametrize("whose", ["a", "b"])
def test_each_of_merged_questions_has_the_open_calls(scene: Scene, whose: str) -> None:
    merged(scene)
    record = scene.turns.status(whose)
    assert (record.held, record.calls) == (True, (WEATHER,))
    lasts = [scene.client.pttl(scene.keys.turn(id)) for id in "ab"]
    assert min(lasts) > 1_000 * (86_400 + 300)
    with pytest.raises(TurnNotEnded):
        scene.turns.delete_turn(whose)
    done = scene.turns.follow("c", whose, "branch", "", Options(answers={"call_1": "sunny"}))
    assert (done.session, done.place) == ("foo", 0)
    run(scene, "c")
    assert (dangling(scene.history()), scene.turns.status(whose).held) == ([], False)
    scene.assert_idle()


@pytest.mark.parametrize("whose", ["a", "b"])
@pytest.mark.parametrize(("when_held", "place"), [("queue", 1), ("close", 0)])
def test_who_follows_one_of_merged_questions_stays_in_the_session(scene: Scene, whose: str, when_held: str, place: int) -> None:
    merged(scene)
    with pytest.raises(SessionHeld):
        scene.turns.follow("d", whose, "branch", "hi", when_held="reject")
    done = scene.turns.follow("c", whose, "branch", "hi", when_held=when_held)
    assert (done.session, done.place) == ("foo", place)


@pytest.mark.parametrize("whose", ["a", "b"])
def test_merged_questions_that_run_are_followed_in_their_session(scene: Scene, whose: str) -> None:
    for id in "ab":
        scene.turns.submit(id, "foo", f"question {id}", when_busy="merge")
    scene.turns.merge(scene.claim(str(scene.pop())))
    assert scene.turns.follow("c", whose, "branch", "hi").session == "foo"


@pytest.mark.parametrize("gone", ["a", "b"])
def test_a_branch_at_one_of_merged_questions_has_no_open_call(scene: Scene, gone: str) -> None:
    merged(scene)
    scene.turns.release_session("foo")
    run_new(scene, "d")
    scene.turns.delete_turn(gone)
    left = "b" if gone == "a" else "a"
    assert scene.turns.follow("c", left, "branch", "hi").session == "branch"
    run(scene, "c")
    assert (len(scene.history("branch")), dangling(scene.history("branch"))) == (5, [])
    scene.turns.follow("e", left, "late", "", Options(answers={"call_1": "sunny"}))
    run(scene, "e")
    assert (len(scene.history("late")), dangling(scene.history("late"))) == (5, [])


def run_new(scene: Scene, id: str) -> None:
    """Submit a turn and complete it."""
    scene.submit(id)
    run(scene, id)


def test_merged_questions_that_failed_part_ways(scene: Scene) -> None:
    for id in "ab":
        scene.turns.submit(id, "foo", f"question {id}", when_busy="merge")
    claim = scene.claim(str(scene.pop()))
    scene.turns.merge(claim)
    scene.fail(claim)
    scene.turns.retry("a")
    assert scene.pop() == "a"
    scene.hold(scene.claim("a"))
    with pytest.raises(CallNotOpen):
        scene.turns.follow("c", "b", "branch", "", Options(answers={"call_1": "sunny"}))
    assert not scene.turns.status("b").held
