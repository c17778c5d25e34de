"""submit: accepted, again, conflict, full_session, full_history, full."""

import pytest

from tests.scripts.conftest import Memory, Stage
from tests.scripts.scene import Scene
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.turns.errors import HistoryFull, InvalidTurn, QueueMemoryFull, TooManyWaiting, TurnConflict
from turnstile.turns.question import Options
from turnstile.turns.states import State
from turnstile.turns.store.acceptance import Submitted


def test_the_first_turn_of_a_session_is_dispatched_at_once(scene: Scene) -> None:
    assert scene.turns.submit("a", "foo", "hi") == Submitted("a", State.QUEUED, 0, fresh=True)
    assert scene.queue() == ["a"]
    assert scene.seat()["head"] == "a"
    assert scene.waiting() == []


def test_later_turns_wait_and_are_told_their_place(scene: Scene) -> None:
    scene.submit("a")
    assert scene.turns.submit("b", "foo", "hi").place == 1
    assert scene.turns.submit("c", "foo", "hi").place == 2
    assert scene.queue() == ["a"]
    assert scene.waiting() == ["b", "c"]


def test_sessions_do_not_wait_for_each_other(scene: Scene) -> None:
    scene.submit("a", session="foo")
    assert scene.turns.submit("b", "bar", "hi").place == 0
    assert scene.turns.submit("c", "tenant/foo", "hi").place == 0
    assert scene.queue() == ["a", "b", "c"]


def test_a_turn_goes_to_the_queue_it_asks_for(scene: Scene) -> None:
    scene.submit("a", options=Options(queue="batch"))
    assert (scene.queue("batch"), scene.queue("chat")) == (["a"], [])


def test_the_record_holds_what_was_asked(scene: Scene) -> None:
    question = [{"type": "text", "text": "hé"}]
    scene.submit("a", question=question, options=Options(temperature=0.5, metadata={"k": "v"}))
    record = scene.turns.status("a")
    assert (record.session, record.question) == ("foo", question)
    assert record.options == Options(temperature=0.5, metadata={"k": "v"})


def test_a_repeat_changes_nothing_and_says_where_the_turn_stands(scene: Scene) -> None:
    scene.submit("a", "b")
    before = scene.picture()
    assert scene.turns.submit("b", "foo", "hi") == Submitted("b", State.QUEUED, 1, fresh=False)
    assert scene.picture() == before


def test_a_repeat_after_the_end_says_how_it_ended(scene: Scene) -> None:
    scene.complete(scene.start("a"))
    assert scene.turns.submit("a", "foo", "hi") == Submitted("a", State.COMPLETED, 0, fresh=False)
    assert scene.queue() == []


@pytest.mark.parametrize(
    ("session", "question", "options"),
    [("bar", "hi", Options()), ("foo", "bye", Options()), ("foo", "hi", Options(stream=False))],
)
def test_another_question_under_the_same_id_is_a_conflict(scene: Scene, session: str, question: str, options: Options) -> None:
    scene.submit("a")
    before = scene.picture()
    with pytest.raises(TurnConflict):
        scene.turns.submit("a", session, question, options)
    assert scene.picture() == before


def test_a_session_takes_only_so_many_waiting_turns(stage: Stage) -> None:
    scene = stage.open(max_waiting_per_session=2)
    scene.submit("a", "b", "c")
    before = scene.picture()
    with pytest.raises(TooManyWaiting, match="TURNSTILE_MAX_WAITING_PER_SESSION"):
        scene.turns.submit("d", "foo", "hi")
    assert scene.picture() == before
    assert scene.turns.submit("c", "foo", "hi").fresh is False
    scene.submit("e", session="bar")
    scene.complete(scene.claim("a"))
    scene.submit("d")


def test_a_full_history_takes_no_turn_and_no_message(stage: Stage) -> None:
    scene = stage.open(max_history_messages=10)
    scene.turns.begin("foo", {}, [f"m{n}" for n in range(9)])
    scene.submit("a")
    scene.complete(scene.claim("a"))
    before = scene.picture()
    for ask in (
        lambda: scene.turns.submit("b", "foo", "hi"),
        lambda: scene.turns.submit("b", "foo", "hi", when_held="close"),
        lambda: scene.turns.follow("b", "a", "branch", "hi"),
        lambda: scene.turns.amend("foo", None, ["m9"]),
    ):
        with pytest.raises(HistoryFull, match=r"10 messages .*TURNSTILE_MAX_HISTORY_MESSAGES"):
            ask()
        assert scene.picture() == before
    assert scene.turns.submit("a", "foo", "hi").fresh is False
    assert scene.turns.amend("foo", None, ["m7", "m8"]), "a repeat adds nothing"
    assert scene.turns.amend("foo", {"topic": "tea"})
    assert scene.turns.read_messages("foo", 0, 1, 3, 100) == [b"m0", b"m1", b"m2"]
    scene.submit("b", session="bar")


def test_the_queue_takes_only_so_many_unfinished_turns(stage: Stage) -> None:
    scene = stage.open(max_waiting=2)
    scene.submit("a", session="foo")
    scene.submit("b", session="bar")
    before = scene.picture()
    with pytest.raises(TooManyWaiting, match=r"TURNSTILE_MAX_WAITING\b"):
        scene.turns.submit("c", "baz", "hi")
    assert scene.picture() == before
    scene.turns.cancel("a")
    scene.submit("c", session="baz")


def test_without_memory_a_turn_is_refused_and_nothing_is_stored(cramped: tuple[Scene, Memory]) -> None:
    scene, memory = cramped
    memory.fill()
    before = scene.picture()
    with pytest.raises(QueueMemoryFull):
        scene.turns.submit("a", "foo", "hi")
    assert scene.picture() == before
    memory.free()
    scene.submit("a")


def test_a_refused_form_never_reaches_the_server(scene: Scene) -> None:
    for wrong in (("a b", "foo", "hi"), ("a", "no spaces", "hi"), ("a", "foo", "")):
        with pytest.raises(InvalidTurn):
            scene.turns.submit(*wrong)
    assert scene.picture() == {}


def test_counters_and_the_due_entry(scene: Scene) -> None:
    scene.submit("a", "b")
    assert (scene.stat("accepted"), scene.stat("open")) == (2, 2)
    now = scene.turns.status("a").created
    assert scene.client.zscore(scene.keys.due, "foo") == pytest.approx((now + 5) * 1000, abs=10)


def test_many_sessions_at_once(scene: Scene, server: EmbeddedServer) -> None:
    scene.let_stand(50)
    for number in range(50):
        scene.submit(f"t{number}", session=f"s{number}")
    assert scene.queue() == [f"t{number}" for number in range(50)]


def test_a_turn_that_stands_nowhere_is_enqueued_by_its_repeat(scene: Scene) -> None:
    scene.submit("a")
    scene.client.delete(scene.keys.session("foo"), scene.keys.due, "chat")
    scene.submit("a")
    assert scene.pop() == "a"
    scene.complete(scene.claim("a"))
    scene.assert_idle()
