"""reap: a worker that is dead loses its leases; one that is heard, or listens, does not."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.scripts.conftest import Stage
from tests.scripts.scene import AN_HOUR_MS, Scene
from tests.support.wait import PATIENCE_SECONDS

CALLER = "w9"
_MOMENTS = ("called", "since", "patience")


def _signed_on(scene: Scene, *workers: str) -> None:
    for worker in workers:
        scene.client.hset(scene.keys.workers, worker, "{}")


def _pass_time(scene: Scene, ms: int = 1_000) -> None:
    """Shift what is remembered into the past: as if so much time had passed since the last call, and no more really has."""
    if not (called := scene.client.hget(scene.keys.stats, "called")):
        return
    shift = int(scene.turns.now() * 1000) - ms - int(called)
    for name in _MOMENTS:
        if scene.client.hexists(scene.keys.stats, name):
            scene.client.hincrby(scene.keys.stats, name, shift)
    for worker in scene.client.zrange(scene.keys.heard, 0, -1):
        scene.client.zincrby(scene.keys.heard, shift, worker)


def _call_the_roll(scene: Scene, times: int = 2, callers: tuple[str, ...] = (CALLER,)) -> int:
    """Have all callers call once a second, so many times; return the number of leases that were ended."""
    released = 0
    for _ in range(times):
        _pass_time(scene)
        released += sum(scene.turns.reap(worker) for worker in callers)
    return released


@contextmanager
def _listening(scene: Scene, worker: str) -> Iterator[None]:
    with scene.client.pubsub() as orders:
        orders.subscribe(scene.keys.orders(worker))
        orders.get_message(timeout=PATIENCE_SECONDS)
        yield


def test_a_worker_that_listens_keeps_its_leases(scene: Scene) -> None:
    """A frozen one: nothing is heard of it, but its connections stand. There the lease decides."""
    with _listening(scene, "w1"):
        _signed_on(scene, "w1")
        claim = scene.start("t1")
        assert _call_the_roll(scene, times=4) == 0
        assert scene.turns.renew("w1", [claim]) == ["kept"]


def test_a_worker_that_is_heard_keeps_its_leases_though_it_does_not_listen(scene: Scene) -> None:
    _signed_on(scene, "w1")
    claim = scene.start("t1")
    assert _call_the_roll(scene, times=5, callers=("w1", CALLER)) == 0
    assert scene.turns.renew("w1", [claim]) == ["kept"]


def test_a_worker_that_sweeps_is_heard(scene: Scene) -> None:
    _signed_on(scene, "w1")
    scene.start("t1")
    for _ in range(5):
        _pass_time(scene)
        scene.turns.sweep(worker="w1")
        assert scene.turns.reap(CALLER) == 0
    assert _call_the_roll(scene) == 1


def test_a_worker_that_is_gone_loses_them(scene: Scene) -> None:
    _signed_on(scene, "w1")
    scene.start("t1")
    scene.start("t2", session="bar")
    _call_the_roll(scene, times=3, callers=("w1", CALLER))
    assert _call_the_roll(scene, times=1) == 2
    assert scene.turns.sweep().recovered == 2
    assert {scene.pop(), scene.pop()} == {"t1", "t2"}
    assert not scene.client.exists(scene.keys.owned("w1"), scene.keys.workers)
    assert scene.client.zrange(scene.keys.heard, 0, -1) == [CALLER]


def test_a_worker_that_died_before_it_was_heard_loses_them_at_the_second_call(scene: Scene) -> None:
    _signed_on(scene, "w1", "w2")
    scene.start("t1")
    assert [_call_the_roll(scene, times=1) for _ in range(2)] == [0, 1]
    assert not scene.client.exists(scene.keys.workers)


def test_a_worker_that_comes_back_in_time_keeps_them(scene: Scene) -> None:
    _signed_on(scene, "w1")
    scene.start("t1")
    _call_the_roll(scene, times=1)
    with _listening(scene, "w1"):
        assert _call_the_roll(scene, times=3) == 0
    assert scene.turns.reap("w1") == 0
    assert scene.turns.reap(CALLER) == 0


def test_what_the_worker_no_longer_holds_is_left_alone(scene: Scene) -> None:
    _signed_on(scene, "w1")
    scene.start("t1")
    scene.expire_lease()
    scene.turns.sweep()
    second = scene.claim(str(scene.pop()), worker="w2")
    scene.client.sadd(scene.keys.owned("w1"), "foo")
    assert _call_the_roll(scene, times=3) == 0
    assert scene.turns.renew("w2", [second]) == ["kept"]


def test_a_dead_worker_with_many_sessions_loses_them_in_pieces(scene: Scene) -> None:
    _signed_on(scene, "w1")
    scene.start("t1")
    others = [f"s{number}" for number in range(2_500)]
    scene.client.sadd(scene.keys.owned("w1"), *others)
    pipeline = scene.client.pipeline(transaction=False)
    for session in others:
        pipeline.hset(scene.keys.session(session), "worker", "w1")
    pipeline.execute()
    released = [_call_the_roll(scene, times=1) for _ in range(6)]
    assert sum(released) == 2_501
    assert max(released) == 1_000
    assert not scene.client.exists(scene.keys.owned("w1"), scene.keys.workers)
    assert scene.client.zcount(scene.keys.due, "-inf", scene.turns.now() * 1000) == 2_501


def _outage(scene: Scene, seconds: int) -> None:
    """Two workers are at work, and then Redis is away."""
    _signed_on(scene, "w1", CALLER)
    scene.start("t1")
    _call_the_roll(scene, callers=("w1", CALLER))
    _pass_time(scene, seconds * 1_000)


def test_after_an_outage_everybody_gets_as_long_as_it_lasted(scene: Scene) -> None:
    _outage(scene, 5)
    assert scene.turns.reap(CALLER) == 0
    assert _call_the_roll(scene, times=4) == 0
    assert _call_the_roll(scene, times=2) == 1


def test_but_a_lease_at_most(stage: Stage) -> None:
    scene = stage.open(lease_seconds=3)
    _outage(scene, 600)
    assert scene.turns.reap(CALLER) == 0
    assert _call_the_roll(scene, times=2) == 0
    assert _call_the_roll(scene, times=2) == 1


def test_a_lease_that_ran_out_in_an_outage_is_not_taken_before_that(scene: Scene) -> None:
    _outage(scene, 5)
    scene.expire_lease()
    assert scene.turns.sweep(worker=CALLER).recovered == 0
    scene.make_due()
    assert scene.turns.sweep(worker=CALLER).recovered == 0
    assert _call_the_roll(scene, times=4) == 0
    assert scene.state("t1") == "running"


def test_a_new_worker_waits_for_nobody_but_those_that_come_back_at_once(scene: Scene) -> None:
    """All workers were dead: one that is started in their place has nobody to wait for."""
    _outage(scene, 5)
    assert scene.turns.reap("new") == 0
    assert _call_the_roll(scene, times=1, callers=("new",)) == 1


def test_who_was_there_before_has_others_waited_for_though_a_new_one_was_first(scene: Scene) -> None:
    _outage(scene, 5)
    assert [scene.turns.reap(worker) for worker in ("new", CALLER)] == [0, 0]
    assert _call_the_roll(scene, times=4, callers=("new", CALLER)) == 0
    assert _call_the_roll(scene, times=2, callers=("new", CALLER)) == 1


def test_one_that_was_stopped_for_a_while_has_nobody_waited_for(scene: Scene) -> None:
    _signed_on(scene, "w1", "frozen", CALLER)
    scene.start("t1")
    with _listening(scene, "frozen"):
        _call_the_roll(scene, callers=("w1", "frozen", CALLER))
        _call_the_roll(scene, times=5, callers=("w1", CALLER))
        assert scene.turns.reap("frozen") == 0
        assert _call_the_roll(scene, times=1) == 1


def test_calls_that_are_late_again_and_again_still_find_the_dead(scene: Scene) -> None:
    _outage(scene, 5)
    released = 0
    for _ in range(3):
        _pass_time(scene, 5_000)
        released += scene.turns.reap(CALLER)
    assert released == 1


def test_a_clock_that_was_set_back_does_not_stop_the_roll(scene: Scene) -> None:
    _outage(scene, 0)
    _pass_time(scene, -AN_HOUR_MS)
    scene.turns.reap(CALLER)
    assert _call_the_roll(scene, times=7) == 0
    assert _call_the_roll(scene, times=2) == 1


def test_a_question_that_kills_each_of_its_workers_ends_as_failed(stage: Stage) -> None:
    scene = stage.open(max_attempts=3)
    scene.submit("t1")
    for number in range(3):
        _signed_on(scene, f"w{number}")
        scene.turns.reap(f"w{number}")
        scene.claim(str(scene.pop()), worker=f"w{number}")
        assert _call_the_roll(scene, times=3) == 1
        scene.turns.sweep(worker=CALLER)
    assert (scene.state("t1"), scene.queue()) == ("failed", [])


def test_however_often_redis_is_away_a_turn_whose_worker_comes_back_keeps_its_chances(stage: Stage) -> None:
    scene = stage.open(max_attempts=1)
    claim = scene.start("t1", worker="w1")
    _call_the_roll(scene, callers=("w1", CALLER))
    for _ in range(3):
        _pass_time(scene, 20_000)
        scene.expire_lease()
        assert scene.turns.reap(CALLER) == 0
        assert scene.turns.sweep(worker=CALLER).failed == 0
        assert scene.turns.reap("w1") == 0
        assert scene.turns.renew("w1", [claim]) == ["kept"]
        assert _call_the_roll(scene, times=10, callers=("w1", CALLER)) == 0
    assert scene.complete(claim) == "completed"


def test_a_late_commit_of_the_lost_worker_is_refused(scene: Scene) -> None:
    _signed_on(scene, "w1")
    claim = scene.start("t1")
    assert _call_the_roll(scene, times=3) == 1
    scene.turns.sweep()
    before = scene.picture()
    assert scene.complete(claim) is None
    assert scene.picture() == before
