"""Turns that follow a held one by its id, as the gateway has it: in time, late, and without answers."""

from collections.abc import Callable

import pytest

from tests.scripts.held_scene import NONE, PAY, hold, run
from tests.scripts.scene import TIME, WEATHER, Scene, asking, dangling, pair
from turnstile.turns.errors import CallNotOpen, SessionHeld
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
