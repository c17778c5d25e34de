"""A session whose last turn has open calls: nothing else runs there before they are answered or closed."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.scripts.conftest import Stage
from tests.scripts.held_scene import NONE, hold, run
from tests.scripts.scene import TIME, WEATHER, Scene, asking, closing, dangling
from turnstile.turns.errors import CallNotOpen, InvalidTurn, SessionHeld, TurnNotEnded
from turnstile.turns.output import called, said
from turnstile.turns.states import State
from turnstile.turns.store.working import Outcome


def expire(scene: Scene) -> None:
    scene.expire_lease()
    assert scene.turns.sweep().expired == 1


def test_nothing_runs_before_the_calls_are_answered(scene: Scene) -> None:
    hold(scene)
    assert scene.seat()["phase"] == "held"
    assert (scene.waiting(), scene.queue(), scene.history()) == (["b"], [], asking("a", WEATHER))
    assert scene.turns.status("b").place == 1
    assert scene.turns.sweep().seen == 0
    record = scene.turns.status("a")
    assert (record.state, record.calls, record.text) == (State.COMPLETED, (WEATHER,), "Wait.")
    assert scene.stat("held") == 1
    assert scene.turns.held() == ["foo"]
    held = scene.turns.read_hold("foo")
    assert held
    assert (held.turn, held.calls) == ("a", (WEATHER,))
    assert 590 < held.until - scene.turns.now() <= 600


@pytest.mark.parametrize("end", [expire, lambda scene: scene.turns.release_session("foo")], ids=["expired", "released"])
def test_calls_that_nobody_answers_are_closed(scene: Scene, end: Callable[[Scene], object]) -> None:
    hold(scene, WEATHER, TIME)
    end(scene)
    assert scene.history() == [*asking("a", WEATHER, TIME), *closing("a", (WEATHER, TIME))]
    assert scene.turns.status("a").calls == ()
    with pytest.raises(CallNotOpen):
        scene.answer("c", call_1="sunny", call_2="noon")
    run(scene, "b")
    scene.assert_idle()
    assert (scene.turns.held(), scene.turns.release_session("foo")) == ([], False)
    scene.assert_all_will_expire()


def test_expired_holds_are_counted(scene: Scene) -> None:
    hold(scene)
    expire(scene)
    assert scene.stat("holds_expired") == 1


def test_a_held_session_is_looked_at_now_and_then(stage: Stage) -> None:
    scene = stage.open(hold_seconds=3_600)
    hold(scene)
    assert scene.client.zscore(scene.keys.due, "foo") - scene.turns.now() * 1000 <= 60_000
    scene.make_due()
    assert (scene.turns.sweep().seen, scene.turns.sweep().seen) == (1, 0)
    assert scene.seat()["phase"] == "held"
    # A clock that has been set back since cannot hold it for longer than the setting says.
    scene.client.hset(scene.keys.session("foo"), "lease", round(scene.turns.now() * 1000) + 9_000_000)
    scene.make_due()
    scene.turns.sweep()
    assert int(scene.seat()["lease"]) - scene.turns.now() * 1000 <= 3_600_000


def test_a_late_message_of_the_held_turn_changes_nothing(scene: Scene) -> None:
    claim = scene.start("a")
    scene.hold(claim)
    before = scene.picture()
    assert scene.turns.claim("a", "w2", "other") == "stale"
    assert scene.turns.cancel("a") is State.COMPLETED
    assert scene.hold(claim) is State.COMPLETED
    assert scene.turns.renew("w1", [claim]) == ["lost"]
    assert scene.turns.requeue(claim) is False
    assert scene.picture() == before


def test_a_question_may_be_refused_by_a_held_session(scene: Scene) -> None:
    hold(scene)
    before = scene.picture()
    with pytest.raises(SessionHeld):
        scene.turns.submit("c", "foo", "hi", when_held="reject")
    with pytest.raises(InvalidTurn, match="when_held"):
        scene.turns.submit("c", "foo", "hi", when_held="wait")
    assert scene.picture() == before
    scene.answer("d")
    assert scene.turns.submit("c", "foo", "hi", when_held="reject").place == 2


def test_a_question_may_close_the_calls(scene: Scene) -> None:
    scene.hold(scene.start("a"))
    done = scene.turns.submit("c", "foo", "hi", when_held="close")
    assert (done.place, scene.history()) == (0, [*asking("a", WEATHER), *NONE])
    run(scene, "c")
    scene.assert_idle()


def test_a_question_that_closes_the_calls_keeps_the_order(scene: Scene) -> None:
    hold(scene)
    assert scene.turns.submit("c", "foo", "hi", when_held="close").place == 2
    with pytest.raises(CallNotOpen):
        scene.answer("d")
    assert scene.turns.sweep().expired == 0
    run(scene, "b")
    run(scene, "c")
    assert scene.history()[:3] == [*asking("a", WEATHER), *NONE]
    scene.assert_idle()


def test_the_setting_decides_without_a_word(stage: Stage) -> None:
    scene = stage.open(when_held="reject")
    scene.hold(scene.start("a"))
    with pytest.raises(SessionHeld):
        scene.submit("b")
    assert scene.turns.submit("b", "foo", "hi", when_held="queue").place == 1


@pytest.mark.parametrize("outcome", [
    Outcome(State.INCOMPLETE, (*said("Wait."), WEATHER), closing=NONE),
    Outcome(State.COMPLETED, said("Done."), closing=NONE),
])  # fmt: skip
def test_what_holds_nothing_leaves_no_call_open(scene: Scene, outcome: Outcome) -> None:
    scene.turns.finish(scene.start("a"), outcome, asking("a", WEATHER))
    assert scene.history() == [*asking("a", WEATHER), *NONE]
    scene.assert_idle()


@pytest.mark.parametrize(
    "calls", [[called(f"call_{n}", "x", "{}") for n in range(129)], [called("x" * 201, "x", "{}")], [called("", "x", "{}")]]
)
def test_calls_that_nobody_can_answer_are_closed_at_once(scene: Scene, calls: list[dict[str, Any]]) -> None:
    scene.hold(scene.start("a"), *calls)
    assert dangling(scene.history()) == []
    assert scene.turns.status("a").calls == ()
    scene.assert_idle()


def test_a_turn_that_is_not_stored_holds_nothing(scene: Scene) -> None:
    scene.turns.finish(scene.start("a"), Outcome(State.COMPLETED, (WEATHER,), closing=NONE, stored=False))
    assert scene.history() == []
    assert scene.turns.status("a").calls == ()
    scene.assert_idle()


def test_an_erased_session_is_held_no_more(scene: Scene) -> None:
    hold(scene)
    scene.answer("c")
    scene.pop()
    scene.hold(scene.claim("c"))
    scene.turns.erase("foo")
    assert [key for key in scene.client.keys("*") if "stats" not in key] == ["chat"][: len(scene.queue())]
    with pytest.raises(CallNotOpen):
        scene.answer("d")


def test_a_held_turn_is_not_deleted(scene: Scene) -> None:
    hold(scene)
    with pytest.raises(TurnNotEnded, match="answers"):
        scene.turns.delete_turn("a")
    scene.turns.release_session("foo")
    assert scene.turns.delete_turn("a")


def test_the_record_of_a_held_turn_outlives_the_hold(stage: Stage) -> None:
    scene = stage.open(result_ttl=1, failed_ttl=1, hold_seconds=3_600)
    scene.hold(scene.start("a"))
    assert scene.client.ttl(scene.keys.turn("a")) > 3_500
    assert scene.client.ttl(scene.keys.turns("foo")) > 3_500


def test_an_audit_finds_held_sessions_and_forgets_others(scene: Scene) -> None:
    hold(scene)
    scene.client.delete(scene.keys.held, scene.keys.due)
    scene.client.zadd(scene.keys.held, {"gone": 1})
    assert scene.turns.audit(["foo"]) == 1
    assert scene.turns.held() == ["foo"]
    scene.turns.sweep()
    assert scene.seat()["phase"] == "held"


def test_a_broken_history_does_not_hold_its_session_for_ever(scene: Scene) -> None:
    hold(scene)
    scene.client.set(scene.keys.history("foo"), "somebody else's")
    expire(scene)
    assert scene.pop() == "b"
