"""finish: finished, replay, superseded."""

import json

import pytest

from tests.scripts.conftest import Memory, Stage
from tests.scripts.scene import ANSWER, Scene, pair, pairs
from turnstile.turns.errors import BrokenRecord, TurnFailed
from turnstile.turns.output import refused, said
from turnstile.turns.question import Options
from turnstile.turns.states import State
from turnstile.turns.store.working import Outcome

ENDS = (State.COMPLETED, State.INCOMPLETE, State.FAILED, State.CANCELLED)


def test_everything_is_written_at_once(scene: Scene) -> None:
    claim = scene.start("a")
    outcome = Outcome(State.COMPLETED, said(ANSWER), {"total_tokens": 3}, "gpt")
    assert scene.turns.finish(claim, outcome, pair("a"), after=1, text=ANSWER) is State.COMPLETED
    assert scene.history() == pair("a")
    assert scene.events("a") == [(1, "started", 1, ""), (2, "text", 1, ANSWER), (3, "ended", 1, "completed")]
    record = scene.turns.status("a")
    assert (record.state, record.answer, record.usage, record.model) == (
        State.COMPLETED, ANSWER, {"total_tokens": 3}, "gpt"
    )  # fmt: skip
    assert record.outcome() == ANSWER
    assert record.started is not None
    assert record.finished is not None
    assert record.created <= record.started <= record.finished
    assert (scene.stat("completed"), scene.stat("open")) == (1, 0)
    scene.assert_idle()


def test_a_text_is_stored_as_the_answer_and_a_refusal_as_items_too(scene: Scene) -> None:
    scene.turns.finish(scene.start("a"), Outcome(State.COMPLETED, said(ANSWER)))
    scene.turns.finish(scene.start("b"), Outcome(State.COMPLETED, refused("I won't.")))
    stored = [scene.client.hmget(scene.keys.turn(id), "answer", "output", "code") for id in "ab"]
    items = '[{"type":"message","content":[{"type":"refusal","refusal":"I won\'t."}]}]'
    assert stored == [[ANSWER, None, None], ["I won't.", items, None]]
    said_, refused_ = (scene.turns.status(id) for id in "ab")
    assert (said_.output, said_.refused, said_.answer) == (said(ANSWER), False, ANSWER)
    assert (refused_.output, refused_.refused, refused_.answer) == (refused("I won't."), True, "I won't.")


def test_a_refusal_that_an_older_version_stored_is_read(scene: Scene) -> None:
    scene.turns.finish(scene.start("a"), Outcome(State.COMPLETED, said("no"), code="refusal"))
    record = scene.turns.status("a")
    assert (record.output, record.refused, record.answer, record.code) == (refused("no"), True, "no", None)


def test_more_messages_than_lua_takes_as_arguments(scene: Scene) -> None:
    messages = [f'{{"place":{place}}}' for place in range(10_000)]
    assert scene.turns.finish(scene.start("a"), Outcome(State.COMPLETED, said(ANSWER)), messages) is State.COMPLETED
    assert scene.history() == messages
    scene.assert_idle()


def test_nothing_is_written_where_the_history_takes_no_messages(scene: Scene) -> None:
    claim = scene.start("a")
    scene.submit("b")
    scene.client.hset(scene.keys.history("foo"), "not", "a list")
    before = scene.picture()
    with pytest.raises(BrokenRecord, match="its key holds another type"):
        scene.complete(claim)
    assert scene.picture() == before
    assert scene.fail(claim) is State.FAILED
    assert scene.queue() == ["b"]


def test_the_next_turn_is_released(scene: Scene) -> None:
    claim = scene.start("a")
    scene.submit("b", "c")
    scene.complete(claim)
    assert scene.queue() == ["b"]
    assert scene.waiting() == ["c"]
    assert scene.seat()["phase"] == "dispatched"
    assert not {"owner", "lease", "worker"} & scene.seat().keys()
    assert scene.turns.claim("c", "w1", "n") == "stale"
    scene.complete(scene.claim("b"))
    scene.complete(scene.claim("c"))
    assert scene.history() == pairs(["a", "b", "c"])
    scene.assert_idle()


def test_a_turn_failed_for_good(scene: Scene) -> None:
    claim = scene.start("a")
    scene.submit("b")
    assert scene.fail(claim) is State.FAILED
    with pytest.raises(TurnFailed, match=r"chain_error: It broke\."):
        scene.turns.status("a").outcome()
    assert scene.history() == []
    assert scene.turns.failed() == ["a"]
    assert scene.queue() == ["b"]


@pytest.mark.parametrize("state", ENDS)
def test_a_lost_reply_is_given_again(scene: Scene, state: State) -> None:
    claim = scene.start("a")
    scene.submit("b")
    outcome = Outcome(state, said(ANSWER))
    assert scene.turns.finish(claim, outcome, pair("a"), after=1, text="x") is state
    before = scene.picture()
    assert scene.turns.finish(claim, outcome, pair("a"), after=1, text="x") is state
    assert scene.picture() == before


def test_the_first_outcome_stands(scene: Scene) -> None:
    claim = scene.start("a")
    scene.complete(claim)
    before = scene.picture()
    assert scene.fail(claim) is State.COMPLETED
    assert scene.picture() == before


def test_a_lost_reply_is_given_again_when_the_session_has_moved_on(scene: Scene) -> None:
    claim = scene.start("a")
    scene.submit("b")
    scene.complete(claim)
    scene.complete(scene.claim("b"))
    assert scene.complete(claim) is State.COMPLETED
    assert scene.history() == pairs(["a", "b"])


def test_a_worker_thought_dead_changes_nothing(scene: Scene) -> None:
    zombie = scene.start("a", worker="w1")
    scene.submit("b")
    scene.lose()
    before = scene.picture()
    assert scene.complete(zombie, "late") is None
    assert scene.picture() == before
    claim = scene.claim("a", "w2")
    before = scene.picture()
    assert scene.complete(zombie, "late") is None
    assert scene.picture() == before
    assert scene.complete(claim) is State.COMPLETED
    assert scene.complete(zombie, "late") is None
    assert scene.turns.status("a").answer == ANSWER
    assert scene.history() == pair("a")


def test_a_worker_that_is_late_but_not_yet_missed_may_finish(scene: Scene) -> None:
    claim = scene.start("a")
    scene.expire_lease()
    assert scene.complete(claim) is State.COMPLETED
    assert scene.turns.sweep().seen == 0
    scene.assert_idle()


def test_a_turn_that_was_given_back_is_no_longer_its_worker_s(scene: Scene) -> None:
    claim = scene.start("a")
    scene.turns.requeue(claim, delay=60)
    before = scene.picture()
    assert scene.complete(claim) is None
    assert scene.picture() == before
    scene.make_due()
    scene.turns.sweep()
    other = scene.claim("a", "w2")
    assert scene.complete(claim) is None
    assert scene.complete(other) is State.COMPLETED


def test_after_a_cancel_nothing_is_added(scene: Scene) -> None:
    claim = scene.start("a")
    scene.submit("b")
    scene.turns.cancel("a")
    before = scene.picture()
    assert scene.complete(claim) is None
    assert scene.picture() == before
    assert scene.state("a") is State.CANCELLED


def test_after_an_erase_nothing_comes_back(scene: Scene) -> None:
    claim = scene.start("a")
    scene.turns.erase("foo")
    before = scene.picture()
    assert scene.complete(claim) is None
    assert scene.picture() == before
    other = scene.start("b")
    assert scene.complete(claim) is None
    scene.complete(other)
    assert scene.history() == pair("b")


def test_text_that_the_stream_has_already_is_not_said_twice(scene: Scene) -> None:
    claim = scene.start("a")
    scene.turns.emit(claim, 1, ["Hel", "lo"])
    scene.turns.finish(claim, Outcome(State.COMPLETED, said("Hello")), after=1, text="Hello")
    assert [e[3] for e in scene.events("a")] == ["", "Hel", "lo", "completed"]


def test_an_empty_answer_is_an_answer(scene: Scene) -> None:
    claim = scene.start("a")
    scene.complete(claim, "")
    assert scene.turns.status("a").answer == ""
    assert scene.turns.status("a").outcome() == ""


def test_a_turn_may_leave_the_history_alone(stage: Stage) -> None:
    scene = stage.open(history_ttl=60)
    scene.turns.finish(scene.start("a"), Outcome(State.COMPLETED, said(ANSWER)))
    assert scene.history() == []
    scene.assert_all_will_expire()


def test_answers_of_every_character(scene: Scene) -> None:
    answer = 'é☃😀\x00\x1f"\\/\u2028\n{"children":{}} @id@ %s'
    claim = scene.start("a", reply=True)
    scene.turns.finish(claim, Outcome(State.COMPLETED, said(answer)), [json.dumps(answer)], after=1, text=answer)
    assert scene.turns.status("a").answer == answer
    assert scene.events("a")[1][3] == answer
    assert json.loads(scene.history()[0]) == answer
    assert json.loads(str(scene.client.get(scene.keys.celery_result("a"))))["result"] == answer


@pytest.mark.parametrize("state", ENDS)
def test_nothing_is_left_for_ever(stage: Stage, state: State) -> None:
    scene = stage.open(history_ttl=600, result_ttl=60, events_ttl=30, failed_ttl=90)
    claim = scene.start("a", reply=True)
    scene.turns.finish(claim, Outcome(state, said(ANSWER), code="x", message="y"), pair("a"), after=1, text="x")
    scene.assert_all_will_expire(histories_last=False)
    expected = {
        scene.keys.turn("a"): 90 if state is State.FAILED else 60,
        scene.keys.events("a"): 30,
        scene.keys.turns("foo"): 90,
        scene.keys.history("foo"): 600,
        scene.keys.celery_result("a"): 60,
    }
    # A busy machine looks late.
    lives = {key: scene.client.pttl(key) / 1000 for key in expected}
    assert {key: seconds - 10 < lives[key] <= seconds for key, seconds in expected.items()} == dict.fromkeys(expected, True)


def test_a_history_is_kept_for_ever_by_default(scene: Scene) -> None:
    scene.complete(scene.start("a"))
    assert scene.client.ttl(scene.keys.history("foo")) == -1
    scene.assert_all_will_expire()


@pytest.mark.parametrize("reply", [True, False])
def test_a_plain_celery_app_gets_its_result_when_it_asked(scene: Scene, reply: bool) -> None:
    scene.complete(scene.start("a", reply=reply))
    assert scene.client.exists(scene.keys.celery_result("a")) == reply


def test_work_is_finished_without_memory(cramped: tuple[Scene, Memory]) -> None:
    scene, memory = cramped
    claim = scene.start("a", reply=True)
    scene.submit("b")
    memory.fill()
    assert scene.complete(claim) is State.COMPLETED
    assert scene.complete(scene.claim("b")) is State.COMPLETED
    assert scene.history() == pairs(["a", "b"])
    scene.assert_idle()


def test_the_turns_of_a_session_may_go_to_different_queues(scene: Scene) -> None:
    claim = scene.start("a")
    scene.submit("b", options=Options(queue="batch"))
    scene.complete(claim)
    assert (scene.queue("chat"), scene.queue("batch")) == ([], ["b"])
