"""Questions that become part of the turn under way."""

from typing import Any

import pytest

from tests.scripts.conftest import Stage
from tests.scripts.cutting import cut, in_pieces
from tests.scripts.scene import Scene, orders, pair
from tests.support.wait import PATIENCE_SECONDS
from turnstile.turns.output import said
from turnstile.turns.question import Options
from turnstile.turns.states import State
from turnstile.turns.store.working import Outcome
from turnstile.turns.turn import Claim


def _steer(scene: Scene, id: str, options: Options | None = None) -> int:
    return scene.turns.submit(id, "foo", f"question {id}", options or Options(), when_busy="steer").place


def _taken(scene: Scene, claim: Claim, *, steers: bool = True) -> list[str]:
    found = scene.turns.merge(claim, steers=steers)
    assert found is not None
    assert all(other.steers for other in found)
    return [str(other.question) for other in found]


def _finish(scene: Scene, claim: Claim) -> None:
    """Finish a turn well, as a worker does: it goes into the history if it is stored."""
    kept = claim.options.store
    assert scene.turns.finish(claim, Outcome(State.COMPLETED, said("hello"), stored=kept), pair(claim.id) if kept else [])


def test_in_an_idle_session_it_is_a_turn_like_any_other(scene: Scene) -> None:
    assert _steer(scene, "a") == 0
    assert not scene.claim("a").marked


def test_it_goes_before_those_that_wait_and_is_part_of_what_runs(scene: Scene) -> None:
    claim = scene.start("a")
    scene.submit("b")
    with orders(scene, "w1") as listener:
        assert (_steer(scene, "c"), _steer(scene, "d")) == (1, 2)
        message = listener.get_message(timeout=PATIENCE_SECONDS)
    assert message is not None
    assert message["data"] == "steer a"
    assert scene.waiting() == ["c", "d", "b"]
    assert _taken(scene, claim, steers=False) == []
    assert _taken(scene, claim) == ["question c", "question d"]
    assert _steer(scene, "e") == 1
    assert _taken(scene, claim) == ["question c", "question d", "question e"]
    assert scene.turns.renew("w1", [claim]) == ["kept"]
    scene.complete(claim)
    assert {scene.state(id) for id in "acde"} == {State.COMPLETED}
    assert scene.pop() == "b"
    scene.complete(scene.claim("b"))
    assert scene.history() == [*pair("a"), *pair("b")]
    scene.assert_idle()


def test_a_turn_that_ends_first_leaves_it_to_be_the_next(scene: Scene) -> None:
    claim = scene.start("a")
    scene.submit("b")
    _steer(scene, "c")
    scene.complete(claim)
    assert scene.pop() == "c"
    again = scene.claim("c")
    assert (again.marked, _taken(scene, again)) == (True, [])
    scene.complete(again)
    assert scene.pop() == "b"


def test_one_that_the_turn_has_no_room_for_waits_behind_all_and_steers_nothing(scene: Scene) -> None:
    in_pieces(scene.turns, together=3)
    claim = scene.start("a")
    scene.submit("x")
    _steer(scene, "b")
    assert _taken(scene, claim) == ["question b"]
    with orders(scene, "w1") as listener:
        assert _steer(scene, "c") == 1
        assert listener.get_message(timeout=PATIENCE_SECONDS) is not None
        assert (_steer(scene, "d"), _steer(scene, "e"), _steer(scene, "d")) == (3, 4, 3)
        scene.turns.cancel("c")
        assert _steer(scene, "f") == 1
        message = listener.get_message(timeout=PATIENCE_SECONDS)
        assert message is not None
        assert message["data"] == "steer a"
        assert listener.get_message(timeout=0.05) is None
    assert scene.waiting() == ["f", "x", "d", "e"]
    assert _taken(scene, claim) == ["question b", "question f"]
    scene.complete(claim)
    for id in "xde":
        assert scene.pop() == id
        alone = scene.claim(id)
        assert not alone.marked
        scene.complete(alone)
    scene.assert_idle()


def test_what_the_turn_has_taken_counts_in_bytes_too(stage: Stage) -> None:
    scene = stage.open(window_bytes=1024)
    claim = scene.start("a")
    scene.submit("x")
    for id, place in (("b", 1), ("c", 1), ("d", 2)):
        options = Options(instructions="x" * 350)
        assert scene.turns.submit(id, "foo", f"question {id}", options, when_busy="steer").place == place
        assert _taken(scene, claim) == ["question b", "question c"][: "bcd".index(id) + 1]


@pytest.mark.parametrize("writes", range(1, 9))
def test_one_without_room_is_accepted_once_whatever_is_cut(scene: Scene, writes: int) -> None:
    in_pieces(scene.turns, together=1)
    claim = scene.start("a")
    with cut(scene.turns, "submit_held", writes):
        _steer(scene, "b")
    assert _steer(scene, "b") == 1
    assert scene.client.hmget(scene.keys.turn("b"), "busy", "stops") == [None, None]
    assert not _taken(scene, claim)
    scene.complete(claim)
    assert scene.pop() == "b"
    scene.complete(scene.claim("b"))
    scene.assert_idle()


@pytest.mark.parametrize("way", ["queue", "merge"])
def test_whoever_claims_the_turn_takes_it(scene: Scene, way: str) -> None:
    scene.turns.submit("a", "foo", "hi", when_busy=way)
    scene.turns.submit("b", "foo", "hi", when_busy=way)
    _steer(scene, "c")
    claim = scene.claim("a")
    assert claim.marked
    assert _taken(scene, claim) == ["question c"]
    assert scene.waiting() == ["b"]


def test_a_repeat_changes_nothing(scene: Scene) -> None:
    scene.start("a")
    scene.submit("b")
    _steer(scene, "c")
    before = scene.picture()
    assert _steer(scene, "c") == 1
    assert scene.picture() == before


@pytest.mark.parametrize("writes", range(1, 16))
def test_a_cut_is_made_up_for_by_the_repeat(scene: Scene, writes: int) -> None:
    claim = scene.start("a")
    scene.submit("b")
    with cut(scene.turns, "submit_held", writes):
        _steer(scene, "c")
    _steer(scene, "c")
    assert _taken(scene, claim) == ["question c"]
    scene.complete(claim)
    assert scene.pop() == "b"
    scene.complete(scene.claim("b"))
    assert scene.state("c") is State.COMPLETED
    scene.assert_idle()


@pytest.mark.parametrize("writes", range(1, 12))
def test_a_taking_that_was_cut_is_completed_and_takes_each_question_once(scene: Scene, writes: int) -> None:
    claim = scene.start("a")
    for id in "bcd":
        _steer(scene, id)
    with cut(scene.turns, "merge", writes):
        scene.turns.merge(claim)
    assert _taken(scene, claim) == [f"question {id}" for id in "bcd"]
    assert scene.turns.status("a").members == ("b", "c", "d")
    assert scene.waiting() == []
    scene.complete(claim)
    assert {scene.state(id) for id in "abcd"} == {State.COMPLETED}
    scene.assert_idle()


def test_a_question_that_waits_for_answers_steers_none_of_them(scene: Scene) -> None:
    scene.hold(scene.start("a"))
    scene.turns.submit("b", "foo", "hi", when_busy="steer", when_held="queue")
    scene.answer("c")
    claim = scene.claim(str(scene.pop()))
    assert (claim.id, claim.marked, _taken(scene, claim)) == ("c", False, [])
    scene.complete(claim)
    assert scene.pop() == "b"


def test_open_calls_are_closed(scene: Scene) -> None:
    scene.hold(scene.start("a"))
    assert _steer(scene, "b") == 0
    assert scene.turns.read_hold("foo") is None


@pytest.mark.parametrize("kept", [True, False])
def test_it_steers_no_turn_that_goes_into_the_history_when_it_does_not_nor_the_other_way(scene: Scene, kept: bool) -> None:
    claim = scene.start("a", options=Options(store=kept))
    scene.submit("x")
    with orders(scene, "w1") as listener:
        for _ in range(2):
            assert _steer(scene, "b", Options(store=not kept)) == 2
        assert listener.get_message(timeout=0.05) is None
        assert scene.client.hmget(scene.keys.turn("b"), "busy", "stops") == [None, None]
        assert not scene.client.hexists(scene.keys.turn("a"), "busy")
        assert _steer(scene, "c", Options(store=kept)) == 1
    assert _taken(scene, claim) == ["question c"]
    _finish(scene, claim)
    for id in "xb":
        assert scene.pop() == id
        alone = scene.claim(id)
        assert not alone.marked
        _finish(scene, alone)
    assert scene.history() == (pair("a") if kept else []) + pair("x") + ([] if kept else pair("b"))
    scene.assert_idle()


_FAKE = '"store":false' * 1_000


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("more", [{}, {"history": [{"role": "user", "content": _FAKE}]}, {"metadata": {"a": _FAKE}}])
def test_how_a_large_turn_is_kept_counts_whatever_it_holds(scene: Scene, more: dict[str, Any], kept: bool) -> None:
    scene.submit("a", question="hello " * 1_000, options=Options(store=kept, **more))
    _steer(scene, "b", Options(store=kept))
    _steer(scene, "c", Options(store=not kept, **more))
    assert [scene.client.hget(scene.keys.turn(id), "busy") for id in "bc"] == ["steer", None]


def test_one_that_an_older_version_had_steer_is_not_taken_by_a_turn_that_is_kept_otherwise(scene: Scene) -> None:
    claim = scene.start("a")
    scene.submit("b", options=Options(store=False))
    scene.client.hset(scene.keys.turn("b"), "busy", "steer")
    scene.client.hset(scene.keys.turn("a"), "busy", "steer")
    assert _taken(scene, claim) == []
    scene.complete(claim)
    assert scene.pop() == "b"
    again = scene.claim("b")
    assert (again.marked, _taken(scene, again)) == (True, [])
    _finish(scene, again)
    assert scene.history() == pair("a")
    scene.assert_idle()


def test_a_head_whose_record_a_cut_has_left_out_refuses_no_question(scene: Scene) -> None:
    with cut(scene.turns, "submit", 3):
        scene.submit("a")
    assert (scene.seat()["head"], scene.client.exists(scene.keys.turn("a"))) == ("a", 0)
    for id, kept in (("b", True), ("c", False)):
        _steer(scene, id, Options(store=kept))
    scene.submit("a")
    while head := scene.pop():
        scene.complete(scene.claim(head))
    assert {scene.state(id) for id in "abc"} == {State.COMPLETED}
    scene.assert_idle()
