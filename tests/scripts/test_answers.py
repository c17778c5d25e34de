"""Answers to the open calls of a held session: all at once, each once, before all that wait."""

from typing import Any

import pytest

from tests.scripts.conftest import Stage
from tests.scripts.held_scene import NONE, PAY, hold, run
from tests.scripts.scene import TIME, WEATHER, Scene, answered, asking, dangling, pair
from turnstile.turns.errors import CallNotAnswered, CallNotOpen, InvalidTurn, TurnConflict
from turnstile.turns.output import call_name
from turnstile.turns.question import Options
from turnstile.turns.states import State


def test_the_answer_goes_before_all_that_wait(scene: Scene) -> None:
    hold(scene)
    done = scene.answer("c")
    assert (done.id, done.state, done.place, done.fresh) == ("c", State.QUEUED, 0, True)
    assert scene.turns.status("a").calls == ()
    assert (scene.turns.held(), scene.turns.read_hold("foo"), scene.stat("held")) == ([], None, 0)
    assert scene.pop() == "c"
    claim = scene.claim("c")
    assert (claim.answers, claim.thread) == ({"call_1": "sunny"}, "a")
    scene.complete(claim)
    run(scene, "b")
    assert scene.history() == [*asking("a", WEATHER), *answered(claim), *pair("c"), *pair("b")]
    scene.assert_idle()
    scene.assert_all_will_expire()


def test_an_answer_brings_its_exchange_however_short_the_window_is(stage: Stage) -> None:
    scene = stage.open(window_messages=0)
    hold(scene)
    scene.answer("c")
    scene.pop()
    assert [element.decode() for element in scene.claim("c").window] == asking("a", WEATHER)[::-1]


def test_an_answer_goes_on_with_the_chain_of_its_thread(scene: Scene) -> None:
    scene.hold(scene.start("a", options=Options(chain="pay")))
    scene.turns.submit("c", "foo", "hi", Options(answers={"call_1": "sunny"}))
    scene.pop()
    assert scene.claim("c").chain == "pay"


def test_a_turn_of_its_own_is_a_thread_of_its_own(scene: Scene) -> None:
    assert scene.start("a").thread == "a"


def test_a_thread_goes_on_through_all_its_answers(scene: Scene) -> None:
    hold(scene)
    for id in ("c", "d"):
        scene.answer(id)
        scene.pop()
        claim = scene.claim(id)
        assert claim.thread == "a"
        scene.hold(claim)
    scene.answer("e")
    run(scene, "e")
    run(scene, "b")
    assert dangling(scene.history()) == []
    scene.assert_idle()


def test_all_calls_are_answered_at_once(scene: Scene) -> None:
    hold(scene, WEATHER, TIME)
    before = scene.picture()
    with pytest.raises(CallNotAnswered, match="call_2"):
        scene.answer("c", call_1="sunny")
    with pytest.raises(CallNotOpen, match="call_9"):
        scene.answer("c", call_1="sunny", call_2="noon", call_9="what?")
    assert scene.picture() == before
    scene.answer("c", call_2="noon", call_1="sunny")
    run(scene, "c")


def test_an_approval_takes_a_decision(scene: Scene) -> None:
    hold(scene, PAY)
    with pytest.raises(CallNotAnswered, match="decision"):
        scene.answer("c", **{call_name(PAY): "I do not know"})
    with pytest.raises(CallNotOpen, match="mcpr_other"):
        scene.answer("c", **{call_name(PAY): "approve", "mcpr_other": "approve"})
    scene.answer("c", **{call_name(PAY): "approve"})
    assert scene.turns.status("c").options.answers == {call_name(PAY): "approve"}


def test_an_answer_given_twice_counts_once(scene: Scene) -> None:
    hold(scene)
    scene.answer("c")
    before = scene.picture()
    assert scene.answer("c").fresh is False
    again = scene.answer("other")
    assert (again.id, again.fresh, again.state) == ("c", False, State.QUEUED)
    run(scene, "c")
    again = scene.answer("yet-another")
    assert (again.id, again.fresh, again.state) == ("c", False, State.COMPLETED)
    assert scene.turns.status("c").dispatches == 1
    assert before.keys() >= {scene.keys.answered("foo")}


def test_another_answer_is_refused_when_one_was_given(scene: Scene) -> None:
    hold(scene)
    scene.answer("c")
    with pytest.raises(CallNotOpen, match="call_1"):
        scene.answer("d", call_1="rainy")
    with pytest.raises(TurnConflict):
        scene.answer("c", call_1="rainy")


def test_nothing_is_answered_where_nothing_is_open(scene: Scene) -> None:
    with pytest.raises(CallNotOpen, match="call_1"):
        scene.answer("a")
    scene.start("b")
    with pytest.raises(CallNotOpen, match="call_1"):
        scene.answer("c")
    assert scene.waiting() == []


def test_too_large_answers_are_refused(stage: Stage) -> None:
    scene = stage.open(max_question_bytes=10)
    hold(scene)
    with pytest.raises(InvalidTurn, match="TURNSTILE_MAX_QUESTION_BYTES"):
        scene.answer("c", call_1="x" * 12)
    scene.turns.submit("c", "foo", "", Options(answers={"call_1": "x" * 8}))
    with pytest.raises(InvalidTurn):
        scene.turns.submit("d", "foo", "")


@pytest.mark.parametrize("worker_lost", [True, False])
def test_calls_wait_anew_when_their_answer_fails(scene: Scene, worker_lost: bool) -> None:
    hold(scene)
    scene.answer("c")
    scene.pop()
    claim = scene.claim("c")
    if worker_lost:
        scene.lose(times=5)
    else:
        scene.fail(claim)
    assert scene.state("c") is State.FAILED
    assert (scene.seat()["head"], scene.seat()["phase"]) == ("a", "held")
    assert (scene.turns.status("a").calls, scene.turns.held()) == ((WEATHER,), ["foo"])
    assert "worker" not in scene.seat()
    scene.answer("d")
    while scene.queue()[0] != "d":
        scene.pop()
    run(scene, "d")
    run(scene, "b")


def test_a_failed_answer_is_retried_at_once(scene: Scene) -> None:
    hold(scene)
    scene.answer("c")
    scene.pop()
    scene.fail(scene.claim("c"))
    assert scene.turns.retry("c") is State.QUEUED
    assert scene.waiting() == ["b"]
    assert scene.pop() == "c"
    claim = scene.claim("c")
    assert (claim.answers, claim.thread) == ({"call_1": "sunny"}, "a")
    scene.complete(claim)
    run(scene, "b")


def test_a_failed_answer_is_not_retried_once_the_calls_are_closed(scene: Scene) -> None:
    hold(scene)
    scene.answer("c")
    scene.pop()
    scene.fail(scene.claim("c"))
    scene.turns.release_session("foo")
    with pytest.raises(CallNotOpen):
        scene.turns.retry("c")
    assert scene.state("c") is State.FAILED
    run(scene, "b")
    scene.assert_idle()


@pytest.mark.parametrize("running", [True, False])
def test_a_cancelled_answer_closes_the_calls(scene: Scene, running: bool) -> None:
    hold(scene)
    scene.answer("c")
    scene.pop()
    if running:
        scene.claim("c")
    assert scene.turns.cancel("c") is State.CANCELLED
    assert scene.history() == [*asking("a", WEATHER), *NONE]
    run(scene, "b")
    scene.assert_idle()


def test_an_answer_that_loses_its_worker_goes_on(scene: Scene) -> None:
    hold(scene)
    scene.answer("c")
    scene.pop()
    scene.claim("c")
    scene.lose()
    scene.pop()
    claim = scene.claim("c")
    assert scene.turns.requeue(claim, 60)
    scene.make_due()
    scene.turns.sweep()
    run(scene, "c")
    run(scene, "b")


@pytest.mark.parametrize("option", [{"store": False}, {"history": []}])
def test_answers_go_into_the_history(option: dict[str, Any]) -> None:
    with pytest.raises(InvalidTurn, match=r"answers"):
        Options(answers={"call_1": "sunny"}, **option)
