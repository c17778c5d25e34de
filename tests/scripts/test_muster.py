"""muster: a worker that nobody hears loses its leases."""

from tests.scripts.scene import AN_HOUR_MS, Scene
from turns.store import Call


def _at_work(scene: Scene, worker: str) -> None:
    scene.client.hset(scene.keys.workers, worker, "{}")


def _pass_time(scene: Scene, ms: int = 1_000) -> None:
    """Shift what `muster` remembers into the past."""
    scene.client.hincrby(scene.keys.stats, "called", -ms)
    for worker in scene.client.zrange(scene.keys.missing, 0, -1):
        scene.client.zincrby(scene.keys.missing, -ms, worker)


def _call_the_roll(scene: Scene, times: int = 2) -> int:
    released = 0
    for _ in range(times):
        _pass_time(scene)
        released += scene.turns.muster()
    return released


def test_a_worker_that_listens_keeps_its_leases(scene: Scene) -> None:
    with scene.client.pubsub() as orders:
        orders.subscribe(scene.keys.orders("w1"))
        orders.get_message(timeout=5)
        _at_work(scene, "w1")
        claim = scene.start("t1")
        assert _call_the_roll(scene) == 0
        assert scene.client.zcard(scene.keys.missing) == 0
        assert scene.turns.renew("w1", [claim]) == ["kept"]


def test_a_worker_that_is_gone_loses_them_at_the_second_call(scene: Scene) -> None:
    _at_work(scene, "w1")
    scene.start("t1")
    scene.start("t2", session="bar")
    assert _call_the_roll(scene, times=1) == 0
    assert _call_the_roll(scene, times=1) == 2
    assert scene.turns.sweep().recovered == 2
    assert {scene.pop(), scene.pop()} == {"t1", "t2"}
    assert not scene.client.exists(scene.keys.owned("w1"), scene.keys.workers, scene.keys.missing)


def test_a_worker_that_comes_back_in_time_keeps_them(scene: Scene) -> None:
    _at_work(scene, "w1")
    scene.start("t1")
    _call_the_roll(scene, times=1)
    with scene.client.pubsub() as orders:
        orders.subscribe(scene.keys.orders("w1"))
        orders.get_message(timeout=5)
        assert _call_the_roll(scene, times=3) == 0
    assert scene.client.zcard(scene.keys.missing) == 0


def test_what_the_worker_no_longer_holds_is_left_alone(scene: Scene) -> None:
    _at_work(scene, "w1")
    scene.start("t1")
    scene.expire_lease()
    scene.turns.sweep()
    second = scene.claim(str(scene.pop()), worker="w2")
    scene.client.sadd(scene.keys.owned("w1"), "foo")
    assert _call_the_roll(scene) == 0
    assert scene.turns.renew("w2", [second]) == ["kept"]


def test_after_a_pause_in_the_roll_calls_everybody_gets_another_chance(scene: Scene) -> None:
    _at_work(scene, "w1")
    scene.start("t1")
    _call_the_roll(scene, times=1)
    _pass_time(scene, 60_000)
    assert scene.turns.muster() == 0
    assert _call_the_roll(scene, times=1) == 1


def test_calls_that_come_too_soon_do_nothing(scene: Scene) -> None:
    _at_work(scene, "w1")
    scene.start("t1")
    _call_the_roll(scene, times=1)
    _pass_time(scene)
    scene.client.hset(scene.keys.stats, "called", int(scene.turns.now() * 1000))
    assert scene.turns.run(Call("muster", (0, AN_HOUR_MS), int)) == 0
    assert scene.client.zcard(scene.keys.missing) == 1


def test_a_clock_that_was_set_back_does_not_stop_the_roll(scene: Scene) -> None:
    _at_work(scene, "w1")
    scene.start("t1")
    _call_the_roll(scene, times=1)
    _pass_time(scene, -AN_HOUR_MS)
    assert _call_the_roll(scene, times=3) == 1


def test_a_late_commit_of_the_lost_worker_is_refused(scene: Scene) -> None:
    _at_work(scene, "w1")
    claim = scene.start("t1")
    _call_the_roll(scene)
    scene.turns.sweep()
    before = scene.picture()
    assert scene.complete(claim) is None
    assert scene.picture() == before
