"""Regressions: faults that a mutant once survived."""

from tests.scripts.scene import Scene
from turnstile.turns.store.runner import script_call

_ABSENCE_MS = 100_000


def _call_the_roll(scene: Scene) -> int:
    scene.client.hset(scene.keys.stats, "since", 1)
    return scene.turns.run(script_call("reap", int, worker="w9", absence=_ABSENCE_MS))


def test_a_worker_that_is_missed_for_a_moment_keeps_its_leases(scene: Scene) -> None:
    scene.client.hset(scene.keys.workers, "w1", "{}")
    scene.start("a")
    assert [_call_the_roll(scene) for _ in range(3)] == [0, 0, 0]
    scene.client.zincrby(scene.keys.heard, -_ABSENCE_MS / 2, "w1")
    assert _call_the_roll(scene) == 0
    scene.client.zincrby(scene.keys.heard, -_ABSENCE_MS / 2, "w1")
    assert _call_the_roll(scene) == 1


def test_a_broken_record_does_not_keep_other_sessions_waiting(scene: Scene) -> None:
    scene.start("broken", session="broken")
    scene.start("sound", session="sound")
    scene.expire_lease("sound")
    scene.client.delete(scene.keys.session("broken"))
    scene.client.set(scene.keys.session("broken"), "not a hash")
    scene.make_due("broken")
    assert scene.turns.sweep().recovered == 1
    assert scene.stat("broken") == 1
    assert scene.pop() == "sound"
    assert scene.turns.sweep().seen == 0


def test_a_broken_record_ends_neither_the_roll_nor_renewals(scene: Scene) -> None:
    scene.client.hset(scene.keys.workers, "w1", "{}")
    broken, sound = scene.start("broken", session="broken"), scene.start("sound", session="sound")
    scene.client.delete(scene.keys.session("broken"))
    scene.client.set(scene.keys.session("broken"), "not a hash")
    assert scene.turns.renew("w1", [broken, sound]) == ["lost", "kept"]
    _call_the_roll(scene)
    scene.client.zincrby(scene.keys.heard, -_ABSENCE_MS, "w1")
    assert _call_the_roll(scene) == 1


def test_an_id_whose_record_has_expired_begins_anew(scene: Scene) -> None:
    scene.complete(scene.start("a"))
    scene.client.delete(scene.keys.turn("a"))
    claim = scene.start("a")
    scene.fail(claim)
    assert [(sequence, data) for sequence, _, _, data in scene.events("a")] == [(1, ""), (2, "failed")]
    assert len(scene.history()) == 2
    scene.assert_idle("foo")
