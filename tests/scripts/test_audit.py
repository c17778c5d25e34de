"""audit: how many sessions had no due entry; and which turns are open."""

from tests.scripts.conftest import Stage
from tests.scripts.scene import Scene, pair
from tests.support.wait import wait_until
from turnstile.turns.states import State


def test_sessions_get_their_due_entries_back(scene: Scene) -> None:
    scene.start("b", session="s2")
    scene.submit("a", session="s1")
    scene.client.delete(scene.keys.due)
    assert scene.turns.audit(["s1", "s2", "idle"]) == 2
    assert scene.turns.audit(["s1", "s2", "idle"]) == 0
    assert scene.turns.sweep().seen == 2


def test_turns_of_an_older_version_are_counted(scene: Scene) -> None:
    scene.start("a")
    scene.submit("b", "c")
    scene.client.delete(scene.keys.open)
    scene.client.hset(scene.keys.stats, "open", 3)
    assert scene.stat("open") == 0
    scene.turns.audit(["foo"])
    assert scene.stat("open") == 3


def test_a_long_mailbox_is_looked_at_slice_by_slice(stage: Stage) -> None:
    scene = stage.open(max_waiting_per_session=10_000)
    scene.submit("head", *(f"t{number}" for number in range(2_100)))
    scene.client.delete(scene.keys.open)

    def audited() -> bool:
        scene.turns.audit(["foo"])
        return scene.stat("open") == 2_101

    wait_until(audited, "every waiting turn is counted")


def test_turns_that_have_ended_are_counted_no_more(scene: Scene) -> None:
    scene.complete(scene.start("a"))
    scene.submit("b")
    scene.client.zadd(scene.keys.open, {"a": 1, "unknown": 2})
    scene.turns.audit([])
    assert scene.client.zrange(scene.keys.open, 0, -1) == ["b"]


def test_every_open_turn_is_looked_at_in_time(scene: Scene) -> None:
    scene.submit("b")
    scene.client.zadd(scene.keys.open, {f"ended-{number}": 10.0**13 + number for number in range(2_500)})

    def audited() -> bool:
        scene.turns.audit([])
        return bool(scene.client.zrange(scene.keys.open, 0, -1) == ["b"])

    wait_until(audited, "all that have ended are counted no more")


def test_a_broken_session_keeps_no_other_waiting(scene: Scene) -> None:
    scene.client.set(scene.keys.session("s1"), "x")
    scene.submit("a", session="s2")
    scene.client.set(scene.keys.mailbox("s2"), "x")
    scene.client.delete(scene.keys.due, scene.keys.open)
    assert scene.turns.audit(["s1", "s2"]) == 2
    assert scene.stat("open") == 1


def test_an_audit_changes_nothing_that_is_right(scene: Scene) -> None:
    claim = scene.start("a")
    scene.submit("b")
    before = scene.picture()
    assert scene.turns.audit(["foo"]) == 0
    assert scene.picture() == before
    assert scene.complete(claim) is State.COMPLETED
    assert scene.history() == pair("a")
