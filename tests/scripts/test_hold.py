"""A session whose last turn has open calls: nothing else runs there before they are answered or closed."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.scripts.conftest import Stage
from tests.scripts.scene import TIME, WEATHER, Scene, answered, asking, closing, dangling, pair
from turnstile.turns.errors import CallNotAnswered, CallNotOpen, InvalidTurn, SessionHeld, TurnConflict, TurnNotEnded
from turnstile.turns.output import approval_request, call_name, said
from turnstile.turns.question import Options
from turnstile.turns.states import State
from turnstile.turns.store.working import Outcome

NONE = closing("a", (WEATHER,))
PAY = approval_request("i1", 0, "pay", '{"amount":1}')


def hold(scene: Scene, *calls: dict[str, Any], session: str = "foo") -> None:
    """Turn `a` ends with open calls; `b` waits."""
    scene.hold(scene.start("a", session=session), *calls)
    scene.submit("b", session=session)


def run(scene: Scene, id: str) -> None:
    """Claim a dispatched turn, look at what its model is given, and complete it."""
    assert scene.pop() == id
    claim = scene.claim(id)
    assert set(dangling(reversed(claim.window))) == claim.answers.keys()
    assert scene.complete(claim) is State.COMPLETED


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


def expire(scene: Scene) -> None:
    scene.expire_lease()
    assert scene.turns.sweep().expired == 1


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


def test_a_turn_that_is_not_stored_holds_nothing(scene: Scene) -> None:
    scene.turns.finish(scene.start("a"), Outcome(State.COMPLETED, (WEATHER,), closing=NONE))
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


# A turn that follows another one by its id, as the gateway has it.


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
