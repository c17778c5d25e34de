"""check_owner, put_checkpoint, put_writes, read_checkpoint, list_checkpoints, drop_steps: kept, superseded; found, missing."""

from collections.abc import Callable

import pytest

from tests.scripts.conftest import Stage
from tests.scripts.cutting import in_pieces
from tests.scripts.held_scene import hold
from tests.scripts.scene import TIME, WEATHER, Scene, pair
from turnstile.memory.element import Element, write
from turnstile.turns.errors import UnknownTurn
from turnstile.turns.output import said
from turnstile.turns.question import Options
from turnstile.turns.redis.scripts import MOST_FIELDS
from turnstile.turns.states import State
from turnstile.turns.store.steps import Place
from turnstile.turns.store.working import Outcome
from turnstile.turns.turn import Claim, Spent

ROOT = "\x1f"
NEWEST = Place("a", ROOT)
FIRST, SECOND = Place("a", ROOT, "1"), Place("a", ROOT, "2")
OLD, NEW, SAME = ("messages", "1"), ("messages", "2"), ("topic", "1")


def _two_steps(scene: Scene, *, replace: bool = True) -> Claim:
    claim = scene.start("a")
    assert scene.turns.put_checkpoint(claim, FIRST, b"one", [OLD, SAME], {OLD: b"hi", SAME: b"tea"}, known="[1]")
    assert scene.turns.put_writes(claim, FIRST, "task", {0: b"x"}, replace=replace)
    assert scene.turns.put_checkpoint(claim, SECOND, b"two", [NEW, SAME], {NEW: b"hello"}, known="[2]", replace=replace)
    return claim


def test_a_checkpoint_brings_its_values_and_writes(scene: Scene) -> None:
    claim = _two_steps(scene)
    assert scene.turns.put_writes(claim, SECOND, "task", {0: b"x", -1: b"error"})
    found = scene.turns.read_checkpoint("a", NEWEST)
    assert found
    assert (found.checkpoint, found.body, found.known) == ("2", b"two", "[1]")
    assert found.values == {NEW: b"hello", SAME: b"tea"}
    assert found.writes == {("task", 0): b"x", ("task", -1): b"error"}


def test_a_newer_checkpoint_takes_the_place_of_the_older(scene: Scene) -> None:
    _two_steps(scene)
    assert scene.turns.list_checkpoints("a") == [(ROOT, "2")]
    assert scene.turns.read_checkpoint("a", FIRST) is None
    assert len(scene.client.hkeys(scene.keys.steps("a"))) == 7


def test_a_latest_checkpoint_that_is_not_there_is_told_from_none(scene: Scene) -> None:
    _two_steps(scene)
    scene.client.hdel(scene.keys.steps("a"), f"checkpoint\x1f{ROOT}\x1f2")
    found = scene.turns.read_checkpoint("a", NEWEST)
    assert found
    assert found.body == b""
    assert scene.turns.read_checkpoint("a", Place("a", "other")) is None


def test_all_can_be_kept(scene: Scene) -> None:
    _two_steps(scene, replace=False)
    assert sorted(scene.turns.list_checkpoints("a")) == [(ROOT, "1"), (ROOT, "2")]
    found = scene.turns.read_checkpoint("a", FIRST)
    assert found
    assert (found.values, found.writes) == ({OLD: b"hi", SAME: b"tea"}, {("task", 0): b"x"})


def test_no_more_is_kept_than_scripts_can_read(scene: Scene) -> None:
    claim = _two_steps(scene)
    scene.client.hset(scene.keys.steps("a"), mapping={f"value{number}": "x" for number in range(MOST_FIELDS)})
    before = scene.picture()
    with pytest.raises(RuntimeError, match="hold 10,000 values"):
        scene.turns.put_checkpoint(claim, Place("a", ROOT, "3"), b"three", [NEW], {})
    with pytest.raises(RuntimeError, match="hold 10,000 values"):
        scene.turns.put_writes(claim, SECOND, "task", {0: b"x"})
    assert scene.picture() == before


def test_what_a_task_wrote_stays_as_it_was_first_written(scene: Scene) -> None:
    claim = _two_steps(scene)
    for value in (b"x", b"y"):
        assert scene.turns.put_writes(claim, SECOND, "task", {0: value, -1: value})
    found = scene.turns.read_checkpoint("a", SECOND)
    assert found
    assert found.writes == {("task", 0): b"x", ("task", -1): b"y"}


def test_a_late_write_of_an_earlier_step_leaves_nothing_behind(scene: Scene) -> None:
    claim = _two_steps(scene)
    before = scene.picture()
    assert scene.turns.put_writes(claim, FIRST, "late", {0: b"x"})
    assert scene.picture() == before


def test_a_repeat_changes_nothing(scene: Scene) -> None:
    claim = _two_steps(scene)
    before = scene.picture()
    assert scene.turns.put_checkpoint(claim, SECOND, b"two", [NEW, SAME], {NEW: b"hello"}, known="[2]")
    assert scene.turns.put_checkpoint(claim, FIRST, b"one", [OLD, SAME], {}, replace=False)
    assert scene.turns.read_checkpoint("a", NEWEST) == scene.turns.read_checkpoint("a", SECOND)
    scene.client.hdel(scene.keys.steps("a"), f"checkpoint\x1f{ROOT}\x1f1", f"channels\x1f{ROOT}\x1f1")
    assert scene.picture() == before


def test_steps_of_one_graph_can_be_dropped(scene: Scene) -> None:
    claim = _two_steps(scene)
    other = Place("a", "other\x1f", "1")
    assert scene.turns.put_checkpoint(claim, other, b"one", [], {})
    assert scene.turns.drop_steps(claim, "a", ROOT)
    assert scene.turns.list_checkpoints("a") == [("other\x1f", "1")]
    assert scene.turns.read_checkpoint("a", NEWEST) is None


def _after_cancel(scene: Scene, claim: Claim) -> None:
    scene.turns.cancel(claim.id)


def _after_sweep(scene: Scene, claim: Claim) -> None:
    scene.lose(claim.session)


def _after_another_claim(scene: Scene, claim: Claim) -> None:
    scene.lose(claim.session)
    scene.claim(claim.id, "w2")


def _after_requeue(scene: Scene, claim: Claim) -> None:
    scene.turns.requeue(claim, delay=5)


def _after_finish(scene: Scene, claim: Claim) -> None:
    scene.complete(claim)


def _after_erase(scene: Scene, claim: Claim) -> None:
    scene.turns.erase(claim.session)


@pytest.mark.parametrize(
    "happening", [_after_cancel, _after_sweep, _after_another_claim, _after_requeue, _after_finish, _after_erase]
)
def test_only_the_owner_writes(scene: Scene, happening: Callable[[Scene, Claim], None]) -> None:
    claim = _two_steps(scene)
    assert scene.turns.owns(claim)
    happening(scene, claim)
    before = scene.picture()
    assert not scene.turns.owns(claim)
    assert not scene.turns.put_checkpoint(claim, Place("a", ROOT, "3"), b"three", [NEW], {NEW: b"!"})
    assert not scene.turns.put_writes(claim, SECOND, "task", {0: b"!"})
    assert not scene.turns.drop_steps(claim, "a", ROOT)
    assert scene.picture() == before


@pytest.mark.parametrize("happening", [_after_sweep, _after_another_claim, _after_requeue])
def test_the_next_attempt_goes_on_from_them(scene: Scene, happening: Callable[[Scene, Claim], None]) -> None:
    happening(scene, _two_steps(scene))
    found = scene.turns.read_checkpoint("a", NEWEST)
    assert found
    assert (found.checkpoint, found.known) == ("2", "[1]")


@pytest.mark.parametrize("happening", [_after_finish, _after_cancel, _after_erase])
def test_they_go_with_the_turn(scene: Scene, happening: Callable[[Scene, Claim], None]) -> None:
    happening(scene, _two_steps(scene))
    assert not scene.client.exists(scene.keys.steps("a"))


def test_those_of_a_failed_turn_wait_for_its_retry(scene: Scene) -> None:
    scene.fail(_two_steps(scene))
    assert scene.client.pttl(scene.keys.steps("a")) > 0
    scene.turns.retry("a")
    assert scene.turns.read_checkpoint("a", NEWEST)
    scene.pop()
    scene.complete(scene.claim("a"))
    assert not scene.client.exists(scene.keys.steps("a"))


def test_those_that_cannot_be_read_are_not_kept_for_a_retry(scene: Scene) -> None:
    scene.fail(_two_steps(scene), "steps_unreadable")
    assert not scene.client.exists(scene.keys.steps("a"))


def test_they_go_with_a_deleted_turn(scene: Scene) -> None:
    scene.fail(_two_steps(scene))
    assert scene.turns.delete_turn("a")
    assert not scene.client.exists(scene.keys.steps("a"))


def test_a_turn_without_steps_ends_as_ever(scene: Scene) -> None:
    assert scene.turns.finish(scene.start("a"), Outcome(State.COMPLETED, said("x")), []) is State.COMPLETED
    with pytest.raises(UnknownTurn):
        scene.turns.status("nobody")


def test_turns_that_answer_the_same_calls_share_what_was_known_at_first(scene: Scene) -> None:
    hold(scene)
    for id, known in (("c", "[1]"), ("e", "[2]")):
        scene.answer(id)
        assert scene.pop() == id
        claim = scene.claim(id)
        assert scene.turns.put_writes(claim, FIRST, "task", {0: b"x"}, known=known)
        assert scene.fail(claim) is State.FAILED
    scene.answer("d")
    assert scene.pop() == "d"
    claim = scene.claim("d")
    assert scene.turns.put_checkpoint(claim, FIRST, b"one", [], {}, known="[3]")
    found = scene.turns.read_checkpoint("d", FIRST)
    assert found
    assert found.known == "[1]"


def test_steps_of_a_turn_that_failed_end_though_a_cut_left_them_without_a_time(scene: Scene) -> None:
    claim = _two_steps(scene)
    scene.client.persist(scene.keys.steps("a"))
    scene.fail(claim)
    scene.assert_all_will_expire()


def test_steps_of_a_run_that_answers_by_messages_go_with_its_turn(scene: Scene) -> None:
    hold(scene)
    claim = _answering(scene, "c")
    assert scene.turns.put_checkpoint(claim, Place("a", f"c{ROOT}", "1", "c"), b"one", [], {}, known="[]")
    assert scene.turns.latest_run("a") == "c"
    scene.complete(claim)
    assert scene.client.keys("turnstile:steps:*") == []


def _answering(scene: Scene, id: str) -> Claim:
    scene.answer(id)
    assert scene.pop() == id
    return scene.claim(id)


def test_answers_go_on_with_the_latest_run_of_their_thread(scene: Scene) -> None:
    claim = scene.start("a")
    assert scene.turns.latest_run("a") == "a"
    assert scene.turns.put_writes(claim, FIRST, "task", {0: b"x"}, known="[]")
    scene.hold(claim)
    claim = _answering(scene, "c")
    assert scene.turns.put_writes(claim, Place("a", f"c{ROOT}", "1", "c"), "task", {0: b"x"}, known='["c"]')
    scene.hold(claim)
    claim = _answering(scene, "d")
    assert scene.turns.latest_run("a") == "c"
    place = Place("a", f"c{ROOT}", "2", "c")
    assert scene.turns.put_checkpoint(claim, place, b"two", [], {}, known='["d"]')
    found = scene.turns.read_checkpoint("d", place)
    assert found
    assert (found.known, scene.turns.latest_run("a")) == ('["d"]', "c")


def _told(result: str, place: int = 0) -> str:
    """Return the element of a result that closes a call of turn `a`."""
    return f'{{"type":"tool","data":{{"content":"{result}"}},"turnstile":{{"tokens":9,"turn":"a","at":5,"place":{place}}}}}'


def _result(result: str) -> str:
    return f'{{"type":"tool","data":{{"content":"{result}"}},"turnstile":{{"tokens":9}}}}'


def _held_with_marks(scene: Scene) -> None:
    """Turn `a` holds its session with two calls; their closing elements are as a worker writes them."""
    closing = [
        write(
            Element(
                "tool",
                {"content": "No output was given.", "tool_call_id": call},
                {"tokens": 7, "turn": "a", "at": 5, "place": n},
            )
        )
        for n, call in enumerate(("call_1", "call_2"))
    ]
    outcome = Outcome(State.COMPLETED, (WEATHER, TIME), closing=closing)
    assert scene.turns.finish(scene.start("a"), outcome, ["x"]) is State.COMPLETED


@pytest.mark.parametrize("end", ["fail", "cancel", "lose"])
def test_a_call_that_was_run_is_closed_by_its_result(scene: Scene, end: str) -> None:
    _held_with_marks(scene)
    scene.turns.submit("c", "foo", "", Options(answers={"call_1": "yes", "call_2": "yes"}))
    assert scene.pop() == "c"
    claim = scene.claim("c")
    for _ in range(2):
        assert scene.turns.put_writes(claim, FIRST, "task", {0: b"x"}, results={"call_2": _result("paid"), "other": "{}"})
    if end == "fail":
        scene.fail(claim)
        scene.turns.release_session("foo")
    elif end == "cancel":
        scene.turns.cancel("c")
    else:
        scene.lose(times=scene.turns.settings.max_attempts)
        scene.turns.release_session("foo")
    assert scene.history()[-1] == _told("paid", 1)
    assert "No output was given." in scene.history()[-2]


def test_a_branch_is_told_the_result_of_a_call_that_was_run(scene: Scene) -> None:
    _held_with_marks(scene)
    scene.turns.submit("c", "foo", "", Options(answers={"call_1": "yes", "call_2": "yes"}))
    assert scene.pop() == "c"
    claim = scene.claim("c")
    assert scene.turns.put_writes(claim, FIRST, "task", {0: b"x"}, results={"call_1": _result("paid")})
    scene.fail(claim)
    scene.turns.release_session("foo")
    scene.complete(scene.start("d"))
    scene.turns.follow("f", "a", "branch", "and now?", Options())
    assert _told("paid") in scene.history("branch")
    assert scene.history("branch") == scene.history()[:3]


def test_results_without_open_calls_change_nothing(scene: Scene) -> None:
    claim = scene.start("a")
    assert scene.turns.put_writes(claim, FIRST, "task", {0: b"x"}, results={"call_1": _result("paid")})
    scene.complete(claim)
    assert scene.history() == pair("a")


def test_what_a_turn_has_used_is_counted_over_its_attempts(scene: Scene) -> None:
    claim = scene.start("a")
    assert claim.spent == Spent()
    assert scene.turns.owns(claim, Spent(0, 1, 0))
    assert scene.turns.put_checkpoint(claim, FIRST, b"one", [], {}, spent=Spent(1, 1, 15))
    assert scene.turns.owns(claim, Spent(1, 2, 15))
    assert scene.turns.owns(claim)
    scene.lose()
    again = scene.claim("a", "w2")
    assert again.spent == Spent(1, 2, 15)
    assert not scene.turns.owns(claim, Spent(9, 9, 9))
    scene.fail(again)
    scene.turns.retry("a")
    assert scene.pop() == "a"
    assert scene.claim("a").spent == Spent()


def test_they_are_there_for_longer_than_a_hold(stage: Stage) -> None:
    scene = stage.open(hold_seconds=3_600, steps_ttl=3_600)
    claim = _two_steps(scene)
    scene.client.pexpire(scene.keys.steps("a"), 60_000)
    scene.hold(claim)
    assert scene.client.pttl(scene.keys.steps("a")) > 3_600_000


def test_each_write_keeps_them_for_longer(scene: Scene) -> None:
    claim, third = _two_steps(scene), Place("a", ROOT, "3")
    scene.client.pexpire(scene.keys.steps("a"), 60_000)
    assert scene.turns.put_writes(claim, SECOND, "task", {0: b"x"})
    assert scene.client.pttl(scene.keys.steps("a")) > 60_000
    scene.client.pexpire(scene.keys.steps("a"), 60_000)
    assert scene.turns.put_checkpoint(claim, third, b"three", [NEW], {})
    assert scene.client.pttl(scene.keys.steps("a")) > 60_000


def test_those_of_an_exchange_are_erased_at_once(scene: Scene) -> None:
    in_pieces(scene.turns)
    scene.complete(scene.start("older"))
    scene.hold(_two_steps(scene))
    scene.answer("c")
    assert scene.pop() == "c"
    scene.hold(scene.claim("c"), TIME)
    scene.turns.erase("foo")
    assert not scene.client.exists(scene.keys.steps("a"))
