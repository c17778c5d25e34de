"""Following a turn: in its session, or on a branch."""

import json

import pytest

from tests.scripts.conftest import Stage
from tests.scripts.scene import Scene, marked, pair
from turnstile.memory.element import Element, write
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


def _grow(scene: Scene, *names: str, at: int) -> None:
    """Add the pairs of other turns, which were answered at this time."""
    elements = (write(Element(kind, {"content": name}, {"turn": name, "at": at})) for name in names for kind in ("human", "ai"))
    scene.client.lpush(scene.keys.history("foo"), *elements)


def _names(start: str, count: int) -> list[str]:
    return [f"{start}{number}" for number in range(count)]


LATER = 9_000_000_000_000


def test_a_branch_holds_a_window_of_what_came_before(scene: Scene) -> None:
    _grow(scene, *_names("old", 500), at=1)
    answer(scene, "a")
    _grow(scene, *_names("new", 500), at=LATER)
    assert scene.turns.follow("b", "a", "branch", "hi").session == "branch"
    assert len(scene.history("branch")) == 100
    assert scene.history("branch")[-2:] == marked("a")
    assert scene.history("branch") == scene.history("foo")[902:1002]


def test_a_branch_holds_at_least_the_window_of_the_settings(stage: Stage) -> None:
    scene = stage.open(window_messages=150)
    _grow(scene, *_names("old", 500), at=1)
    answer(scene, "a")
    _grow(scene, "new", at=LATER)
    scene.turns.follow("b", "a", "branch", "hi")
    assert len(scene.history("branch")) == 150


def test_a_branch_begins_as_its_conversation_does(scene: Scene) -> None:
    rule = json.dumps({"type": "system", "data": {"content": "be brief"}})
    scene.client.rpush(scene.keys.history("foo"), rule)
    _grow(scene, *_names("old", 500), at=1)
    answer(scene, "a")
    _grow(scene, "new", at=LATER)
    scene.turns.follow("b", "a", "branch", "hi")
    assert (len(scene.history("branch")), scene.history("branch")[0]) == (101, rule)


def test_a_branch_is_bounded_in_bytes(stage: Stage) -> None:
    scene = stage.open(window_bytes=40_000)
    scene.client.lpush(scene.keys.history("foo"), *("x" * 3_000 for _ in range(20)))
    answer(scene, "a")
    _grow(scene, "new", at=LATER)
    scene.turns.follow("b", "a", "branch", "hi")
    history = scene.history("branch")
    assert sum(map(len, history)) <= 40_000
    assert (len(history), history[-2:]) == (15, marked("a"))


def test_a_turn_without_messages_is_followed_from_where_it_stood(scene: Scene) -> None:
    scene.fail(scene.start("a"))
    answer(scene, "b")
    scene.client.lpush(scene.keys.history("foo"), *pair("from elsewhere"))
    scene.fail(scene.start("c"))
    assert scene.turns.follow("d", "c", "branch-d", "hi").session == "foo"
    scene.turns.cancel("d")
    _grow(scene, "new", at=LATER)
    assert scene.turns.follow("e", "c", "branch-e", "hi").session == "branch-e"
    assert scene.history("branch-e") == [*marked("b"), *pair("from elsewhere")]
    assert scene.turns.follow("f", "a", "branch-f", "hi").session == "branch-f"
    assert scene.history("branch-f") == []


@pytest.mark.parametrize("removed", [1, 40, 400])
def test_the_place_is_found_after_messages_were_removed(scene: Scene, removed: int) -> None:
    _grow(scene, *_names("old", 500), at=1)
    answer(scene, "a")
    _grow(scene, *_names("new", 500), at=LATER)
    for element in scene.history("foo")[100 : 100 + removed]:
        assert scene.turns.drop_message("foo", element.encode())
    assert scene.turns.follow("b", "a", "branch", "hi").session == "branch"
    assert scene.history("branch")[-2:] == marked("a")


def test_the_place_is_found_after_its_own_answer_was_removed(scene: Scene) -> None:
    answer(scene, "a")
    answer(scene, "b")
    question, reply = marked("a")
    scene.turns.drop_message("foo", reply.encode())
    assert scene.turns.follow("c", "a", "branch", "hi").session == "branch"
    assert scene.history("branch") == [question]


@pytest.mark.parametrize("more", [0, 1, 700])
def test_a_turn_of_an_earlier_version_is_followed(scene: Scene, more: int) -> None:
    """It notes no length: the place is found by the times of the messages."""
    _grow(scene, *_names("old", 300), at=1)
    answer(scene, "a")
    scene.client.hdel(scene.keys.turn("a"), "history_length")
    if more:
        _grow(scene, *_names("new", more), at=LATER)
    assert scene.turns.follow("b", "a", "branch", "hi").session == ("branch" if more else "foo")
    assert scene.history("branch" if more else "foo")[-2:] == marked("a")


@pytest.mark.parametrize("more", [0, 700])
def test_a_turn_of_an_earlier_version_without_messages_is_followed(scene: Scene, more: int) -> None:
    answer(scene, "a")
    scene.fail(scene.start("b"))
    scene.client.hdel(scene.keys.turn("b"), "history_length")
    if more:
        _grow(scene, *_names("new", more), at=LATER)
    assert scene.turns.follow("c", "b", "branch", "hi").session == ("branch" if more else "foo")
    assert scene.history("branch" if more else "foo") == marked("a")


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


def _followed(scene: Scene) -> None:
    """Answer two turns, and a third that branches off the first."""
    answer(scene, "a")
    answer(scene, "b")
    scene.turns.follow("c", "a", "branch", "hi")
    assert scene.pop() == "c"
    scene.complete(scene.claim("c"))


def test_a_branch_forgets_when_histories_do(stage: Stage) -> None:
    scene = stage.open(history_ttl=60)
    _followed(scene)
    scene.assert_all_will_expire(histories_last=False)


def test_a_branch_goes_with_its_last_turn(scene: Scene) -> None:
    _followed(scene)
    scene.turns.follow("d", "c", "other", "hi")
    assert scene.turns.delete_turn("c")
    assert scene.history("branch")
    scene.turns.cancel("d")
    assert scene.turns.delete_turn("d")
    assert not scene.client.keys("*branch*")
    assert scene.turns.delete_turn("a")
    assert scene.turns.delete_turn("b")
    assert scene.history() == [*marked("a"), *marked("b")]


def test_a_branch_that_is_erased_is_gone(scene: Scene) -> None:
    _followed(scene)
    scene.turns.erase("branch")
    assert not scene.client.keys("*branch*")
