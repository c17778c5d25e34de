"""merge: merged, superseded; questions that wait become one turn."""

import pytest

from tests.scripts.conftest import Stage
from tests.scripts.cutting import cut, in_pieces
from tests.scripts.scene import Scene, pair
from turnstile.turns.errors import TurnCancelled
from turnstile.turns.output import said
from turnstile.turns.question import Options
from turnstile.turns.states import State
from turnstile.turns.store.working import Outcome
from turnstile.turns.turn import Claim


def ask(scene: Scene, *ids: str, **options: object) -> None:
    """Ask questions that are to be merged."""
    for id in ids:
        scene.turns.submit(id, "foo", f"question {id}", Options(**options), when_busy="merge")  # type: ignore[arg-type]


def take(scene: Scene) -> tuple[Claim, list[str]]:
    """Claim the next turn, and take the questions that are merged with it."""
    claim = scene.claim(str(scene.pop()))
    assert claim.marked
    found = scene.turns.merge(claim)
    assert found is not None
    assert not any(other.steers for other in found)
    return claim, [str(other.question) for other in found]


def test_what_waits_becomes_one_turn_and_ends_with_it(scene: Scene) -> None:
    first = scene.start("x")
    ask(scene, "a", "b", "c", metadata={"n": "1"})
    assert [scene.turns.status(id).place for id in "abc"] == [1, 2, 3]
    scene.complete(first)
    claim, others = take(scene)
    assert (claim.id, claim.question, others) == ("a", "question a", ["question b", "question c"])
    assert scene.waiting() == []
    for id in "bc":
        record = scene.turns.status(id)
        assert (record.state, record.merged, record.place) == (State.RUNNING, "a", 0)
        assert scene.events(id) == [(1, "merged", 0, "a")]
    assert scene.turns.status("a").members == ("b", "c")
    before = scene.picture()
    assert scene.turns.merge(claim) == scene.turns.merge(claim)
    assert scene.picture() == before

    outcome = Outcome(State.COMPLETED, said("to all"), {"total_tokens": 3}, "gpt")
    assert scene.turns.finish(claim, outcome, pair("abc")) is State.COMPLETED
    for id in "abc":
        record = scene.turns.status(id)
        assert (record.state, record.answer, record.model, record.usage) == (
            State.COMPLETED,
            "to all",
            "gpt",
            {"total_tokens": 3},
        )
        assert record.ended
        assert scene.events(id)[-1][1:] == ("ended", record.attempts, "completed")
    assert scene.history() == [*pair("x"), *pair("abc")]
    assert scene.stat("completed") == 4
    scene.assert_idle()
    scene.assert_all_will_expire(histories_last=True)


def test_only_those_are_merged_that_stand_next_and_are_of_a_kind(scene: Scene) -> None:
    first = scene.start("x")
    ask(scene, "a", "b")
    scene.submit("c")
    ask(scene, "d")
    ask(scene, "e", model="other")
    scene.complete(first)
    answered = []
    while id := scene.pop():
        claim = scene.claim(id)
        others = scene.turns.merge(claim) if claim.marked else []
        answered.append((id, len(others or ())))
        scene.complete(claim)
    assert answered == [("a", 1), ("c", 0), ("d", 0), ("e", 0)]


def test_no_more_are_merged_than_one_turn_takes(stage: Stage) -> None:
    scene = stage.open(window_bytes=1024)
    first = scene.start("x")
    ask(scene, "a", "b", "c", instructions="x" * 400)
    scene.complete(first)
    assert take(scene)[1] == ["question b"]


def test_another_attempt_asks_the_same(scene: Scene) -> None:
    ask(scene, "a", "b")
    claim, others = take(scene)
    ask(scene, "c")
    scene.turns.requeue(claim)
    again, same = take(scene)
    assert same == others == ["question b"]
    assert scene.turns.merge(claim) is None
    assert scene.turns.renew("w1", [claim, again]) == ["lost", "kept"]
    scene.complete(again)
    assert scene.state("b") is State.COMPLETED
    assert take(scene)[0].id == "c"


@pytest.mark.parametrize("whose", ["a", "b"])
def test_one_that_is_cancelled_takes_all_along(scene: Scene, whose: str) -> None:
    ask(scene, "a", "b")
    claim, _ = take(scene)
    assert scene.turns.cancel(whose) is State.CANCELLED
    assert scene.complete(claim) is None
    for id in "ab":
        with pytest.raises(TurnCancelled):
            scene.turns.status(id).outcome()
    assert scene.turns.cancel("b") is State.CANCELLED
    scene.assert_idle()


def test_before_it_runs_each_is_cancelled_alone(scene: Scene) -> None:
    ask(scene, "a", "b", "c")
    scene.turns.cancel("b")
    assert take(scene)[1] == ["question c"]


@pytest.mark.parametrize("writes", range(1, 12))
def test_one_whose_cancellation_was_cut_is_merged_with_none(scene: Scene, writes: int) -> None:
    first = scene.start("x")
    ask(scene, "a", "b", "c")
    with cut(scene.turns, "cancel", writes):
        scene.turns.cancel("b")
    scene.complete(first)
    take(scene)
    assert ("b" in scene.turns.status("a").members) == (scene.state("b") is State.RUNNING)


def test_failures_are_retried_one_by_one(stage: Stage) -> None:
    scene = stage.open(max_attempts=1)
    ask(scene, "a", "b")
    take(scene)
    scene.lose()
    assert {scene.state(id) for id in "ab"} == {State.FAILED}
    assert scene.turns.status("b").code == "worker_lost"
    for id in "ba":
        scene.turns.retry(id)
        record = scene.turns.status(id)
        assert (record.members, record.merged, record.shared) == ((), None, False)
    for id in "ba":
        assert scene.pop() == id
        claim = scene.claim(id)
        assert not claim.marked
        scene.complete(claim)
    assert scene.history() == [*pair("b"), *pair("a")]
    scene.assert_idle()


def test_an_erase_takes_all_that_is_under_way_at_once(scene: Scene) -> None:
    in_pieces(scene.turns)
    for id in "abc":
        scene.turns.submit(id, "acme/foo", f"question {id}", when_busy="merge")
    claim, _ = take(scene)
    scene.turns.erase("acme/foo")
    assert [id for id in "abc" if scene.client.exists(scene.keys.turn(id))] == []
    assert not scene.client.exists(scene.keys.open_turns("acme"))
    assert scene.complete(claim) is None
    assert scene.turns.merge(claim) is None
    while scene.turns.sweep_erased():
        pass
    scene.assert_idle()


def test_who_follows_one_of_them_follows_the_answer(scene: Scene) -> None:
    ask(scene, "a", "b")
    claim, _ = take(scene)
    scene.complete(claim)
    assert scene.turns.follow("c", "b", "branch", "hi").session == "foo"
    assert scene.turns.follow("d", "b", "branch", "hi").session == "branch"


def test_an_interrupt_ends_all_of_them(scene: Scene) -> None:
    ask(scene, "a", "b")
    claim, _ = take(scene)
    scene.turns.submit("c", "foo", "hi", when_busy="interrupt")
    scene.lose()
    again, others = take(scene)
    assert (again.interrupted, others) == (True, ["question b"])
    scene.turns.finish(again, Outcome(State.INCOMPLETE, said(""), code="interrupted"), pair("ab"))
    assert [scene.turns.status(id).code for id in "ab"] == ["interrupted"] * 2
    assert claim.token != again.token


def test_one_that_is_interrupted_before_it_runs_is_merged_with_none(scene: Scene) -> None:
    ask(scene, "a", "b")
    scene.turns.submit("c", "foo", "hi", when_busy="interrupt")
    assert take(scene)[1] == []


@pytest.mark.parametrize("writes", range(1, 12))
def test_a_merger_that_was_cut_is_completed(scene: Scene, writes: int) -> None:
    ask(scene, "a", "b", "c")
    claim = scene.claim(str(scene.pop()))
    with cut(scene.turns, "merge", writes):
        scene.turns.merge(claim)
    assert scene.turns.merge(claim) is not None
    assert scene.waiting() == []
    assert [scene.events(id) for id in "bc"] == [[(1, "merged", 0, "a")]] * 2
    scene.complete(claim)
    assert {scene.state(id) for id in "abc"} == {State.COMPLETED}
    scene.assert_idle()


def test_an_idle_session_waits_for_quiet(stage: Stage) -> None:
    scene = stage.open(merge_seconds=60)
    ask(scene, "a")
    assert (scene.seat()["phase"], scene.queue()) == ("delayed", [])
    first = float(scene.client.zscore(scene.keys.due, "foo"))
    scene.client.zadd(scene.keys.due, {"foo": first - 30_000})
    ask(scene, "b")
    assert float(scene.client.zscore(scene.keys.due, "foo")) >= first
    scene.client.hincrby(scene.keys.turn("a"), "created", -590_000)
    ask(scene, "c")
    assert float(scene.client.zscore(scene.keys.due, "foo")) < first
    scene.make_due()
    assert scene.turns.sweep().retried == 0
    assert take(scene)[1] == ["question b", "question c"]


def test_a_turn_that_waits_for_its_retry_does_not_wait_for_quiet(stage: Stage) -> None:
    scene = stage.open(merge_seconds=60)
    ask(scene, "a")
    scene.make_due()
    scene.turns.sweep()
    claim, _ = take(scene)
    scene.turns.requeue(claim, 1)
    due = scene.client.zscore(scene.keys.due, "foo")
    ask(scene, "b")
    assert scene.client.zscore(scene.keys.due, "foo") == due
