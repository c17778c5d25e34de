"""erase: how many turns and messages are gone."""

import itertools
import json

import pytest

from tests.scripts.conftest import Memory, Stage
from tests.scripts.cutting import in_pieces
from tests.scripts.scene import AN_HOUR_MS, Scene, pair
from tests.support.wait import PATIENCE_SECONDS
from turnstile.turns.errors import BrokenRecord, InvalidTurn, UnknownTurn
from turnstile.turns.states import State

_LASTING = {"turnstile:stats", "chat"}


def _traces(scene: Scene) -> set[str]:
    return set(scene.client.keys("*")) - _LASTING


def test_a_busy_session_is_forgotten(scene: Scene) -> None:
    scene.complete(scene.start("a", reply=True))
    scene.fail(scene.start("b", reply=True))
    scene.start("c")
    scene.submit("d", "e")
    assert scene.turns.erase("foo") == (5, 2)
    assert _traces(scene) == set()
    assert scene.stat("open") == 0
    counts = scene.turns.stats()
    assert counts["accepted"] == counts["completed"] + counts["failed"] + counts["cancelled"]
    for id in "abcde":
        with pytest.raises(UnknownTurn):
            scene.turns.status(id)


def test_a_waiting_retry_is_forgotten(scene: Scene) -> None:
    scene.turns.requeue(scene.start("a"), delay=60)
    assert scene.turns.erase("foo") == (1, 0)
    assert _traces(scene) == set()


def test_others_are_left_alone(scene: Scene) -> None:
    claim = scene.start("a", session="bar")
    scene.complete(scene.start("b", session="t/foo"))
    scene.start("c")
    bar = scene.picture()
    scene.turns.erase("foo")
    for key in (scene.keys.session("bar"), scene.keys.turn("a"), scene.keys.history("t/foo"), scene.keys.turn("b")):
        assert scene.picture()[key] == bar[key]
    assert scene.client.smembers(scene.keys.owned("w1")) == {"bar"}
    assert scene.complete(claim) is State.COMPLETED


def test_nothing_to_forget(scene: Scene) -> None:
    assert scene.turns.erase("foo") == (0, 0)
    assert scene.picture() == {}


def test_late_comers_bring_nothing_back(scene: Scene) -> None:
    claim = scene.start("a")
    scene.submit("b")
    scene.turns.erase("foo")
    before = scene.picture()
    assert scene.turns.claim("a", "w2", "n") == "unknown"
    assert scene.turns.claim("b", "w2", "n") == "unknown"
    assert scene.turns.emit(claim, 1, ["x"]) is None
    assert scene.complete(claim) is None
    assert scene.turns.requeue(claim, 1) is False
    assert scene.turns.renew("w1", [claim]) == ["lost"]
    assert {**scene.picture(), "turnstile:stats": None} == {**before, "turnstile:stats": None}
    assert scene.turns.sweep().seen == 0


def test_the_name_can_be_used_again(scene: Scene) -> None:
    zombie = scene.start("a")
    scene.turns.erase("foo")
    claim = scene.start("a")
    assert scene.complete(zombie) is None
    assert scene.complete(claim) is State.COMPLETED
    assert scene.history() == pair("a")


def test_a_repeat_finds_nothing(scene: Scene) -> None:
    scene.complete(scene.start("a"))
    scene.turns.erase("foo")
    before = scene.picture()
    assert scene.turns.erase("foo") == (0, 0)
    assert scene.picture() == before


def test_worker_and_readers_are_told(scene: Scene) -> None:
    scene.start("a", worker="w1")
    listener = scene.client.pubsub(ignore_subscribe_messages=True)
    listener.subscribe(scene.keys.orders("w1"), scene.keys.wake("a"))
    with listener:
        for _ in range(2):
            listener.get_message(timeout=PATIENCE_SECONDS)
        scene.turns.erase("foo")
        messages = [listener.get_message(timeout=PATIENCE_SECONDS) for _ in range(2)]
    assert {(m["channel"], m["data"]) for m in messages if m} == {
        (scene.keys.orders("w1"), "a"), (scene.keys.wake("a"), "erased")
    }  # fmt: skip


def test_a_plain_celery_app_that_waits_is_told(scene: Scene) -> None:
    scene.submit("a", reply=True)
    channel = scene.keys.celery_result("a")
    listener = scene.client.pubsub(ignore_subscribe_messages=True)
    listener.subscribe(channel)
    with listener:
        listener.get_message(timeout=PATIENCE_SECONDS)
        scene.turns.erase("foo")
        message = listener.get_message(timeout=PATIENCE_SECONDS)
    assert message is not None
    assert json.loads(message["data"])["result"]["exc_type"] == "TurnCancelled"
    assert not scene.client.exists(channel)


def _age(scene: Scene, hours: int) -> None:
    """Let the accepted turns of foo be `hours` older."""
    index = scene.keys.turns("foo")
    for id, score in scene.client.zrange(index, 0, -1, withscores=True):
        scene.client.zadd(index, {id: score - hours * AN_HOUR_MS})


def test_a_turn_that_ended_long_after_it_was_accepted(scene: Scene) -> None:
    claim = scene.start("old")
    _age(scene, 24 * 8)
    scene.fail(claim)
    scene.complete(scene.start("new"))
    assert scene.turns.status("old").state is State.FAILED
    assert scene.turns.erase("foo") == (2, 2)
    assert _traces(scene) == set()


def test_records_that_others_keep_for_longer_are_forgotten_too(stage: Stage, scene: Scene) -> None:
    patient = stage.open(failed_ttl=30 * 86_400)
    patient.fail(patient.start("old"))
    _age(scene, 24 * 8)
    scene.submit("a")
    scene.turns.cancel("a")
    assert scene.client.pttl(scene.keys.turns("foo")) > 29 * 24 * AN_HOUR_MS
    assert scene.turns.erase("foo") == (2, 0)
    assert _traces(scene) == set()


@pytest.fixture
def piecemeal(scene: Scene) -> Scene:
    """Return a scene in which both calls of an erase remove one turn each; five have ended, one runs, and one waits."""
    in_pieces(scene.turns, 1)
    for id in ("a", "b", "c"):
        scene.complete(scene.start(id, reply=True))
    scene.fail(scene.start("d"))
    scene.complete(scene.start("e"))
    scene.start("f", reply=True)
    scene.submit("g")
    return scene


def _sweep_all(scene: Scene) -> int:
    return next(number for number in range(20) if not scene.turns.sweep_erased())


def test_many_turns_are_unknown_at_once_and_removed_in_pieces(piecemeal: Scene) -> None:
    scene = piecemeal
    assert scene.turns.erase("foo") == (7, 8)
    assert scene.client.exists(scene.keys.turn("e"))
    calls = (scene.turns.status, scene.turns.cancel, scene.turns.retry, lambda id: scene.turns.follow("z", id, "branch", "hi"))
    for id, call in itertools.product("abcdefg", calls):
        with pytest.raises(UnknownTurn):
            call(id)
    assert not any(map(scene.turns.delete_turn, "abcdefg"))
    assert [scene.turns.claim(id, "w1", "n") for id in "fg"] == ["unknown", "unknown"]
    assert _sweep_all(scene) == 5
    assert _traces(scene) == set()
    assert scene.stat("open") == 0


def test_an_id_of_an_erased_turn_can_be_used_at_once(piecemeal: Scene) -> None:
    scene = piecemeal
    scene.turns.erase("foo")
    assert scene.turns.submit("d", "foo", "hi").fresh
    assert scene.turns.submit("e", "bar", "another").fresh
    assert scene.turns.failed() == []
    _sweep_all(scene)
    assert scene.queue() == ["d", "e"]
    for id, session in (("d", "foo"), ("e", "bar")):
        scene.complete(scene.claim(id))
        assert [event[1] for event in scene.events(id)] == ["started", "ended"]
        assert scene.history(session) == pair(id)


def test_a_late_owner_hears_nothing_of_an_erased_turn(piecemeal: Scene) -> None:
    claim = piecemeal.start("h", session="bar")
    for id in ("i", "j", "k"):
        piecemeal.submit(id, session="bar")
    piecemeal.complete(claim)
    for id in ("i", "j"):
        piecemeal.complete(piecemeal.claim(id))
    piecemeal.client.zadd(piecemeal.keys.turns("bar"), {"h": 9e12})
    piecemeal.turns.erase("bar")
    assert piecemeal.client.exists(piecemeal.keys.turn("h"))
    assert piecemeal.complete(claim) is None


def test_a_repeat_removes_the_next_piece(piecemeal: Scene) -> None:
    scene = piecemeal
    scene.turns.erase("foo")
    left = len(_traces(scene))
    assert scene.turns.erase("foo") == (0, 0)
    assert len(_traces(scene)) < left


def test_what_is_left_expires_by_itself(piecemeal: Scene) -> None:
    piecemeal.turns.erase("foo")
    piecemeal.client.delete(piecemeal.keys.erasures)
    piecemeal.assert_all_will_expire()


def test_form(scene: Scene) -> None:
    with pytest.raises(InvalidTurn):
        scene.turns.erase("*")


def test_sessions_are_forgotten_without_memory(cramped: tuple[Scene, Memory]) -> None:
    scene, memory = cramped
    scene.complete(scene.start("a"))
    scene.start("b")
    memory.fill()
    assert scene.turns.erase("foo") == (2, 2)


def test_a_history_of_another_type_goes_too(scene: Scene) -> None:
    scene.submit("a")
    scene.client.set(scene.keys.history("foo"), "not a list")
    assert scene.turns.erase("foo") == (1, 0)
    assert not scene.client.exists(scene.keys.history("foo"))
    assert scene.stat("open") == 0


@pytest.mark.parametrize("family", ["session", "mailbox", "turns"])
def test_a_key_of_another_type_goes_too(scene: Scene, family: str) -> None:
    broken = getattr(scene.keys, family)("foo")
    scene.client.set(broken, "something else")
    with pytest.raises(BrokenRecord, match="Erase the session"):
        scene.submit("a")
    scene.turns.erase("foo")
    assert not scene.client.exists(broken)
    scene.submit("b")
    assert scene.turns.status("b").state is State.QUEUED


def test_a_record_of_another_type_goes_too(scene: Scene) -> None:
    scene.submit("a", "b")
    scene.client.set(scene.keys.turn("a"), "something else")
    assert scene.turns.erase("foo") == (2, 0)
    assert _traces(scene) == set()


def test_a_tenant_that_is_at_work_is_not_forgotten(scene: Scene) -> None:
    claim = scene.start("a", session="acme/1")
    assert scene.turns.erase_tenant("acme") == (0, 0)
    assert scene.client.zscore(scene.keys.tenants, "acme") is not None
    assert scene.complete(claim) is State.COMPLETED
    scene.turns.erase("acme/1")
    assert scene.turns.erase_tenant("acme") == (0, 0)
    assert _traces(scene) == set()
