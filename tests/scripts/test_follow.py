"""Following a turn: in its session, or on a branch."""

import pytest

from tests.scripts.conftest import Stage
from tests.scripts.scene import Scene, marked, pair
from turnstile.turns.errors import TooManyWaiting, TurnConflict, TurnNotEnded, UnknownTurn
from turnstile.turns.output import said
from turnstile.turns.states import State
from turnstile.turns.store.working import Outcome


def answer(scene: Scene, id: str, session: str = "foo") -> None:
    """Submit a turn and answer it."""
    claim = scene.start(id, session=session)
    assert scene.turns.finish(claim, Outcome(State.COMPLETED, said("an answer")), marked(id)) is State.COMPLETED


def test_what_is_last_is_followed_in_its_session(scene: Scene) -> None:
    answer(scene, "a")
    followed = scene.turns.follow("b", "a", "branch", "hi")
    assert (followed.session, followed.state, followed.place, followed.fresh) == ("foo", State.QUEUED, 0, True)
    assert scene.pop() == "b"


def test_what_still_runs_is_followed_in_its_session(scene: Scene) -> None:
    scene.start("a")
    assert scene.turns.follow("b", "a", "branch", "hi").session == "foo"
    assert scene.waiting() == ["b"]


def test_what_is_not_the_last_is_followed_on_a_branch(scene: Scene) -> None:
    for id in ("a", "b", "c"):
        answer(scene, id)
    assert scene.turns.follow("d", "b", "branch", "hi").session == "branch"
    assert scene.history("branch") == [*marked("a"), *marked("b")]
    assert scene.history() == [*marked("a"), *marked("b"), *marked("c")]


def test_two_that_follow_the_same_part_ways(scene: Scene) -> None:
    answer(scene, "a")
    assert scene.turns.follow("b", "a", "branch-b", "hi").session == "foo"
    assert scene.turns.follow("c", "a", "branch-c", "hi").session == "branch-c"
    assert scene.history("branch-c") == marked("a")


def test_messages_from_elsewhere_part_ways_too(scene: Scene) -> None:
    answer(scene, "a")
    scene.client.lpush(scene.keys.history("foo"), *pair("from elsewhere"))
    assert scene.turns.follow("b", "a", "branch", "hi").session == "branch"
    assert scene.history("branch") == marked("a")


def test_a_turn_without_an_answer_is_followed_from_where_it_stood(scene: Scene) -> None:
    answer(scene, "a")
    scene.fail(scene.start("b"))
    assert scene.turns.follow("c", "b", "branch", "hi").session == "foo"
    assert scene.pop() == "c"
    scene.complete(scene.claim("c"))
    assert scene.turns.follow("d", "b", "branch", "hi").session == "branch"
    assert scene.history("branch") == marked("a")


def test_a_long_history_is_not_searched_to_its_end(scene: Scene) -> None:
    answer(scene, "a")
    key = scene.keys.history("foo")
    scene.client.lpush(key, *(element for n in range(300) for element in marked(f"m{n}")))
    scene.fail(scene.start("b"))
    assert scene.turns.follow("c", "b", "branch", "hi").session == "foo"
    for n in range(450):
        scene.client.lpush(key, *pair(str(n)))
    assert scene.turns.follow("d", "b", "other", "hi").session == "other"
    assert len(scene.history("other")) == 602


def test_what_others_follow_has_to_end_first(scene: Scene) -> None:
    scene.start("a")
    scene.submit("b")
    with pytest.raises(TurnNotEnded):
        scene.turns.follow("c", "a", "branch", "hi")


def test_a_repeat_is_the_same_turn(scene: Scene) -> None:
    answer(scene, "a")
    scene.turns.follow("b", "a", "branch", "hi")
    before = scene.picture()
    again = scene.turns.follow("b", "a", "branch", "hi")
    assert (again.session, again.fresh) == ("foo", False)
    assert scene.picture() == before
    with pytest.raises(TurnConflict):
        scene.turns.follow("b", "a", "branch", "something else")


def test_nobody_follows_what_is_not_there(scene: Scene) -> None:
    with pytest.raises(UnknownTurn):
        scene.turns.follow("b", "a", "branch", "hi")
    assert scene.picture() == {}


def test_caps_hold_for_those_that_follow(stage: Stage) -> None:
    scene = stage.open(max_waiting_per_session=1)
    scene.start("a")
    scene.turns.follow("b", "a", "branch", "hi")
    with pytest.raises(TooManyWaiting):
        scene.turns.follow("c", "b", "branch", "hi")


def test_a_branch_forgets_when_histories_do(stage: Stage) -> None:
    scene = stage.open(history_ttl=60)
    answer(scene, "a")
    answer(scene, "b")
    scene.turns.follow("c", "a", "branch", "hi")
    assert scene.pop() == "c"
    scene.complete(scene.claim("c"))
    scene.assert_all_will_expire(histories_last=False)
