"""Situations of sessions that are held for open calls."""

from collections.abc import Callable
from typing import Any

from tests.scripts.cutting import cut
from tests.scripts.scene import TIME, WEATHER, Scene
from tests.scripts.situation import claimed, options, situation
from turnstile.turns.question import Options
from turnstile.turns.turn import Claim


def _held(scene: Scene, *, late: bool = False) -> None:
    """Turn `a` ends with open calls, `b` waits; `late`: the time for the answers is over."""
    scene.hold(scene.start("a", reply=True, options=options(webhook=True)), WEATHER, TIME)
    scene.submit("b")
    if late:
        scene.expire_lease()


def _answer(scene: Scene, id: str = "aa") -> Callable[[], Any]:
    return lambda: scene.answer(id, call_1="sunny", call_2="noon")


def _answering(scene: Scene) -> Claim:
    """Turn `aa` answers the calls, and runs."""
    _held(scene)
    _answer(scene)()
    scene.pop()
    return scene.claim("aa")


@situation("finish")
def _with_open_calls(scene: Scene) -> Callable[[], Any]:
    claim = scene.start("a", reply=True, options=options(webhook=True))
    scene.submit("b")
    return lambda: scene.hold(claim, WEATHER, TIME)


@situation("finish")
def _of_an_answer(scene: Scene) -> Callable[[], Any]:
    claim = _answering(scene)
    return lambda: scene.complete(claim)


@situation("finish")
def _of_an_answer_that_asks_again(scene: Scene) -> Callable[[], Any]:
    claim = _answering(scene)
    return lambda: scene.hold(claim, WEATHER)


@situation("finish")
def _of_an_answer_that_failed(scene: Scene) -> Callable[[], Any]:
    claim = _answering(scene)
    return lambda: scene.fail(claim)


@situation("submit_held")
def _with_answers(scene: Scene) -> Callable[[], Any]:
    _held(scene)
    return _answer(scene)


@situation("submit_held")
def _that_closes_the_calls(scene: Scene) -> Callable[[], Any]:
    _held(scene)
    return lambda: scene.turns.submit("c", "foo", "hi", when_held="close")


@situation("submit_held")
def _that_closes_the_calls_and_runs(scene: Scene) -> Callable[[], Any]:
    scene.hold(scene.start("a"))
    return lambda: scene.turns.submit("c", "foo", "hi", when_held="close")


@situation("follow")
def _with_answers_in_time(scene: Scene) -> Callable[[], Any]:
    _held(scene)
    options = Options(answers={"call_1": "sunny", "call_2": "noon"})
    return lambda: scene.turns.follow("aa", "a", "branch", "hi", options)


@situation("follow")
def _with_late_answers(scene: Scene) -> Callable[[], Any]:
    scene.hold(scene.start("a"))
    scene.turns.release_session("foo")
    return lambda: scene.turns.follow("b", "a", "branch", "hi", Options(answers={"call_1": "sunny"}))


@situation("claim")
def _of_an_answer_again(scene: Scene) -> Callable[[], Any]:
    scene.turns.requeue(_answering(scene))
    scene.pop()
    return claimed(scene, "aa")


@situation("cancel")
def _of_a_running_answer(scene: Scene) -> Callable[[], Any]:
    _answering(scene)
    return lambda: scene.turns.cancel("aa")


@situation("retry")
def _of_an_answer_once_more(scene: Scene) -> Callable[[], Any]:
    scene.fail(_answering(scene))
    return lambda: scene.turns.retry("aa")


@situation("sweep")
def _of_calls_that_nobody_answers(scene: Scene) -> Callable[[], Any]:
    _held(scene, late=True)
    return scene.turns.sweep


@situation("sweep")
def _of_an_answer_that_lost_its_worker(scene: Scene) -> Callable[[], Any]:
    _answering(scene)
    scene.lose(times=4)
    scene.claim(str(scene.pop()))
    scene.expire_lease()
    return scene.turns.sweep


@situation("sweep")
def _of_calls_whose_closing_was_cut(scene: Scene) -> Callable[[], Any]:
    _held(scene)
    with cut(scene.turns, "release_session", 1):
        scene.turns.release_session("foo")
    scene.make_due()
    return scene.turns.sweep


@situation("audit")
def _of_a_held_session(scene: Scene) -> Callable[[], Any]:
    _held(scene)
    scene.client.delete(scene.keys.due, scene.keys.held)
    return lambda: scene.turns.audit(["foo"])


@situation("release_session")
def _that_others_wait_in(scene: Scene) -> Callable[[], Any]:
    _held(scene)
    return lambda: scene.turns.release_session("foo")


@situation("read_hold")
@situation("status")
def _of_open_calls(scene: Scene) -> Callable[[], Any]:
    _held(scene)
    return lambda: (scene.turns.read_hold("foo"), scene.turns.status("a"))


@situation("erase", erases=True)
def _of_a_session_being_answered(scene: Scene) -> Callable[[], Any]:
    _answering(scene)
    return lambda: scene.turns.erase("foo")


@situation("delete_turn", erases=True)
def _of_a_turn_that_was_held(scene: Scene) -> Callable[[], Any]:
    scene.hold(scene.start("a"))
    scene.turns.release_session("foo")
    return lambda: scene.turns.delete_turn("a")
