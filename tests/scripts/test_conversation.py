"""Sessions without turns: begun, described, added to, and forgotten."""

import pytest

from tests.scripts.conftest import Stage
from tests.scripts.scene import Scene, marked, pair
from tests.support.wait import wait_until
from turnstile.turns.errors import BrokenRecord, TurnConflict, TurnNotEnded, UnknownSession, UnknownTurn
from turnstile.turns.states import State


def test_begin_and_describe(scene: Scene) -> None:
    assert scene.turns.begin("foo", {"topic": "tea"}, pair("greeting"))
    described = scene.turns.read_conversation("foo")
    assert (described.session, described.metadata) == ("foo", {"topic": "tea"})
    assert described.created > 1_700_000_000
    assert scene.history() == pair("greeting")


def test_more_messages_than_lua_takes_as_arguments(scene: Scene) -> None:
    messages = [f'{{"place":{place}}}' for place in range(10_000)]
    assert scene.turns.begin("foo", {}, messages)
    assert scene.history() == messages


def test_a_repeat_begins_nothing_anew(scene: Scene) -> None:
    scene.turns.begin("foo", {}, pair("greeting"))
    before = scene.picture()
    assert not scene.turns.begin("foo", {}, pair("greeting"))
    assert scene.picture() == before
    with pytest.raises(TurnConflict):
        scene.turns.begin("foo", {"other": "yes"})


def test_a_session_that_is_there_is_not_begun(scene: Scene) -> None:
    scene.submit("a")
    with pytest.raises(TurnConflict):
        scene.turns.begin("foo", {})


def test_amend(scene: Scene) -> None:
    scene.submit("a")
    scene.turns.amend("foo", {"topic": "tea"})
    scene.turns.amend("foo", None, pair("note"))
    assert scene.turns.read_conversation("foo").metadata == {"topic": "tea"}
    assert scene.history() == pair("note")


def test_a_repeat_adds_nothing_twice(scene: Scene) -> None:
    scene.submit("a")
    for _ in range(2):
        scene.turns.amend("foo", None, pair("note"))
    assert scene.history() == pair("note")


def test_nothing_is_known_of_other_sessions(scene: Scene) -> None:
    with pytest.raises(UnknownSession):
        scene.turns.read_conversation("foo")
    with pytest.raises(UnknownSession):
        scene.turns.amend("foo", {})
    assert scene.picture() == {}


def test_a_session_that_nobody_began_is_described(scene: Scene) -> None:
    scene.submit("a")
    assert scene.turns.read_conversation("foo").created > 1_700_000_000
    scene.client.lpush(scene.keys.history("plain"), *pair("from elsewhere"))
    assert scene.turns.read_conversation("plain").created == 0


def test_a_large_message_is_not_read_for_its_mark(scene: Scene) -> None:
    """It is nested so deep that Redis cannot read it."""
    deep = marked("a")[0].replace('"a"', f"{'[' * 10_000}{']' * 10_000}", 1)
    scene.client.lpush(scene.keys.history("foo"), deep, *marked("b"))
    assert scene.turns.read_conversation("foo").created == 0.001


def test_messages_by_their_places(scene: Scene) -> None:
    scene.turns.begin("foo", {}, [f"m{n}" for n in range(5)])
    assert scene.turns.count_messages("foo") == 5
    assert scene.turns.read_messages("foo", 3, -1, 3, 100) == [b"m3", b"m2", b"m1"]
    assert scene.turns.read_messages("foo", 1, 1, 3, 100) == [b"m1", b"m2", b"m3"]
    assert scene.turns.read_messages("foo", 3, 1, 9, 100) == [b"m3", b"m4"]
    assert scene.turns.read_messages("foo", 1, -1, 9, 100) == [b"m1", b"m0"]
    assert scene.turns.read_messages("foo", 5, -1, 9, 100) == []
    assert scene.turns.drop_message("foo", b"m2")
    assert not scene.turns.drop_message("foo", b"m2")
    assert scene.history() == ["m0", "m1", "m3", "m4"]


@pytest.mark.parametrize("step", [1, -1])
def test_messages_are_read_as_far_as_their_bytes_go(scene: Scene, step: int) -> None:
    scene.turns.begin("foo", {}, [f"{n:03}" for n in range(100)])
    place = 0 if step > 0 else 99
    places = [b"%03d" % n for n in range(place, place + 100 * step, step)]
    for count, most, found in ((100, 300, 100), (20, 300, 20), (100, 299, 99), (100, 60, 20), (100, 59, 19), (100, 1, 1)):
        assert scene.turns.read_messages("foo", place, step, count, most) == places[:found]


def test_large_messages_are_not_read_many_at_a_time(scene: Scene) -> None:
    def reads(session: str, many: int) -> int:
        scene.client.config_resetstat()
        assert scene.turns.read_messages(session, 0, 1, many, 1_000_000_000)
        return int(scene.client.info("commandstats")["cmdstat_lrange"]["calls"])

    def takes(session: str, count: int, many: int = 8) -> bool:
        # The server counts what workers of other tests read meanwhile.
        return wait_until(lambda: reads(session, many) == count, f"{session} takes {count} reads")

    scene.turns.begin("small", {}, [f"{n}" * 1_000_000 for n in range(8)])
    scene.turns.begin("large", {}, [*("01234567"), "x" * 4_000_000])
    scene.client.rpush(scene.keys.history("elsewhere"), *("x" * 1_000_000 for _ in range(16)))
    assert takes("small", 1)
    assert takes("elsewhere", 2, 16)
    assert takes("large", 4)
    scene.complete(scene.start("a", session="large"))
    scene.complete(scene.start("b", session="large"))
    branch = scene.turns.follow("c", "a", "branch", "hi").session
    assert branch == "branch"
    assert takes(branch, 4)


def test_a_page_of_a_huge_history_of_large_messages_is_small(scene: Scene) -> None:
    scene.client.rpush(scene.keys.history("foo"), *["x" * 1_000_000] * 35)

    def sent() -> int:
        scene.client.config_resetstat()
        assert len(scene.turns.read_messages("foo", 34, -1, 500, 3_500_000)) == 3
        return int(scene.client.info("stats")["total_net_output_bytes"])

    assert wait_until(lambda: sent() < 4_000_000, "a page is small")


def test_erase_takes_all(scene: Scene) -> None:
    scene.turns.begin("foo", {"topic": "tea"}, pair("greeting"))
    scene.turns.erase("foo")
    with pytest.raises(UnknownSession):
        scene.turns.read_conversation("foo")


def test_what_was_begun_lives_as_long_as_the_history(stage: Stage) -> None:
    scene = stage.open(history_ttl=60)
    scene.turns.begin("foo", {"topic": "tea"}, pair("greeting"))
    scene.assert_all_will_expire(histories_last=False)
    scene.client.pexpire(scene.keys.conversation("foo"), 1_000)
    scene.complete(scene.start("a"))
    assert scene.client.pttl(scene.keys.conversation("foo")) > 10_000


def test_forget_one_turn(scene: Scene) -> None:
    scene.complete(scene.start("a"))
    assert scene.turns.delete_turn("a")
    assert not scene.turns.delete_turn("a")
    with pytest.raises(UnknownTurn):
        scene.turns.status("a")
    assert scene.events("a") == []
    assert scene.history() == pair("a")


def test_the_id_of_a_forgotten_turn_is_taken_for_a_time(scene: Scene) -> None:
    scene.complete(scene.start("a"))
    scene.turns.delete_turn("a")
    for session in ("foo", "bar"):
        with pytest.raises(TurnConflict):
            scene.turns.submit("a", session, "a")
    for call in (scene.turns.status, scene.turns.cancel, scene.turns.retry):
        with pytest.raises(UnknownTurn):
            call("a")
    assert scene.client.pttl(scene.keys.turn("a")) > 0


def test_a_failed_turn_that_is_forgotten_leaves_the_list(scene: Scene) -> None:
    scene.fail(scene.start("a"))
    scene.turns.delete_turn("a")
    assert scene.turns.failed() == []


def test_a_turn_that_has_not_ended_is_not_forgotten(scene: Scene) -> None:
    scene.start("a")
    with pytest.raises(TurnNotEnded):
        scene.turns.delete_turn("a")
    assert scene.state("a") is State.RUNNING


def test_a_history_of_another_type_is_a_broken_record_however_it_is_used(scene: Scene) -> None:
    scene.client.hset(scene.keys.history("foo"), "not", "a list")
    before = scene.picture()
    for use in (
        lambda: scene.turns.amend("foo", {"a": "b"}, ["{}"]),
        lambda: scene.turns.history("foo"),
        lambda: scene.turns.read_messages("foo", 0, 1, 1, 1),
        lambda: scene.turns.count_messages("foo"),
        lambda: scene.turns.drop_message("foo", b"{}"),
    ):
        with pytest.raises(BrokenRecord, match="The history of this session cannot be read: its key holds another type"):
            use()
    assert scene.picture() == before


def test_another_key_of_another_type_is_a_broken_record_too(scene: Scene) -> None:
    scene.client.set(scene.keys.mailbox("foo"), "not a list")
    with pytest.raises(BrokenRecord, match="something else writes to this Redis"):
        scene.submit("a")
