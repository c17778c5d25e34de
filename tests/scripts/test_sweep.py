"""sweep: overdue sessions are set going again."""

import itertools
import json

import pytest

from tests.scripts.conftest import Memory, Stage
from tests.scripts.scene import AN_HOUR_MS, Scene, pair, pairs
from turnstile.turns.errors import TurnFailed
from turnstile.turns.question import Options
from turnstile.turns.states import State
from turnstile.turns.store.upkeep import Swept

NOTHING = Swept(0, 0, 0, 0, 0)


def test_nothing_is_overdue(scene: Scene) -> None:
    assert scene.turns.sweep() == NOTHING
    scene.start("a")
    scene.submit("b", "c", session="bar")
    assert scene.turns.sweep() == NOTHING


def test_a_lost_dispatch_is_sent_again(scene: Scene) -> None:
    scene.submit("a")
    scene.pop()
    scene.make_due()
    assert scene.turns.sweep() == Swept(1, 0, 1, 0, 0)
    assert scene.queue() == ["a"]
    assert scene.turns.sweep() == NOTHING
    assert scene.claim("a").attempt == 1


def test_a_mailbox_of_turns_that_wait_no_more_is_passed_over_in_pieces(scene: Scene) -> None:
    claim = scene.start("a")
    gone = [f"gone{number}" for number in range(50)]
    scene.submit(*gone, "b")
    scene.client.delete(*map(scene.keys.turn, gone))
    scene.client.zrem(scene.keys.open, *gone)
    scene.complete(claim)
    assert (len(scene.waiting()), scene.seat()["head"]) == (31, "a")
    assert scene.complete(claim) is State.COMPLETED
    assert len(scene.waiting()) == 11
    assert scene.turns.sweep().seen == 1
    assert (scene.waiting(), scene.queue()) == ([], ["b"])
    scene.complete(scene.claim("b"))
    assert scene.history() == pairs(["a", "b"])
    scene.assert_idle()


def test_a_dispatch_that_still_waits_in_its_queue_is_not_sent_again(scene: Scene) -> None:
    scene.submit("a", session="s1")
    scene.submit("b", session="s2")
    for _ in range(3):
        scene.make_due("s1")
        scene.make_due("s2")
        assert scene.turns.sweep() == Swept(2, 0, 0, 0, 0)
    assert scene.queue() == ["a", "b"]


def test_the_longer_the_queue_the_later_the_second_look(scene: Scene) -> None:
    for number in range(100):
        scene.submit(f"t{number}", session=f"s{number}")
    first, last = (scene.client.zscore(scene.keys.due, name) for name in ("s0", "s99"))
    assert first is not None
    assert last is not None
    assert last - first >= 99 * 5


def test_a_dispatch_that_later_ones_have_passed_is_sent_again(scene: Scene) -> None:
    for number in range(4):
        scene.submit(f"t{number}", session=f"s{number}")
    assert scene.pop() == "t0"
    scene.claim(str(scene.pop()))
    scene.make_due("s0")
    assert scene.turns.sweep() == Swept(1, 0, 1, 0, 0)
    assert scene.queue() == ["t2", "t3", "t0"]


def test_a_doubled_dispatch_makes_no_others_look_lost(scene: Scene) -> None:
    """One worker has a dispatch in hand while others overtake it; it is sent again, and then both copies are claimed."""
    scene.let_stand(50)
    for number in range(50):
        scene.submit(f"t{number}", session=f"s{number}")
    held = str(scene.pop())
    scene.claim(str(scene.pop()))
    scene.make_due("s0")
    assert scene.turns.sweep().redispatched == 1
    scene.claim(held)
    for number in range(2, 50):
        scene.make_due(f"s{number}")
    assert scene.turns.sweep() == Swept(48, 0, 0, 0, 0)
    assert len(scene.queue()) == 49


def test_a_whole_queue_that_is_lost_is_sent_again_at_once(scene: Scene) -> None:
    scene.let_stand(50)
    scene.start("z", session="s0")
    for number in range(20):
        scene.submit(f"t{number}", session=f"s{number}")
        scene.make_due(f"s{number}")
    scene.expire_lease("s0")
    scene.client.delete("chat")
    assert scene.turns.sweep() == Swept(20, 0, 19, 1, 0)
    assert sorted(scene.queue()) == sorted(["z", *(f"t{number}" for number in range(1, 20))])


def test_a_retry_that_is_due(scene: Scene) -> None:
    scene.turns.requeue(scene.start("a"), delay=5)
    scene.make_due()
    assert scene.turns.sweep() == Swept(1, 1, 0, 0, 0)
    assert scene.queue() == ["a"]


def test_a_worker_that_died(scene: Scene) -> None:
    scene.start("a")
    scene.submit("b")
    scene.expire_lease()
    assert scene.turns.sweep() == Swept(1, 0, 0, 1, 0)
    assert scene.state("a") is State.QUEUED
    assert scene.queue() == ["a"]
    assert scene.client.keys(scene.keys.owned("*")) == []
    claim = scene.claim("a", "w2")
    assert (claim.attempt, claim.attempts_left) == (2, 3)


def test_a_question_that_kills_its_workers_fails_and_the_session_goes_on(stage: Stage) -> None:
    scene = stage.open(max_attempts=3)
    scene.start("a")
    scene.submit("b")
    scene.lose(times=3)
    with pytest.raises(TurnFailed, match="worker_lost"):
        scene.turns.status("a").outcome()
    assert scene.turns.failed() == ["a"]
    assert scene.events("a")[-1] == (4, "ended", 3, "failed")
    assert scene.queue() == ["b"]
    assert scene.complete(scene.claim("b")) is State.COMPLETED
    assert scene.history() == pair("b")
    scene.assert_idle()
    scene.assert_all_will_expire()


def test_forgiven_attempts_do_not_count(stage: Stage) -> None:
    scene = stage.open(max_attempts=1)
    scene.turns.requeue(scene.start("a"), forgive=True)
    scene.turns.requeue(scene.claim("a"), forgive=True)
    scene.claim("a")
    scene.expire_lease()
    assert scene.turns.sweep() == Swept(1, 0, 0, 0, 1)


def test_at_most_so_many_the_longest_overdue_first(scene: Scene) -> None:
    for number in range(5):
        scene.start(f"t{number}", session=f"s{number}")
        scene.client.hset(scene.keys.session(f"s{number}"), "lease", 1)
        scene.client.zadd(scene.keys.due, {f"s{number}": 10 - number})
    assert scene.turns.sweep(2).recovered == 2
    assert scene.queue() == ["t4", "t3"]
    assert [scene.turns.sweep(2).recovered for _ in range(3)] == [2, 1, 0]


def _be_silent(scene: Scene, ms: int = AN_HOUR_MS) -> None:
    """Let the latest sweep be so long ago."""
    scene.client.hincrby(scene.keys.stats, "called", -ms)
    for moment in ("since", "patience"):
        if scene.client.hexists(scene.keys.stats, moment):
            scene.client.hincrby(scene.keys.stats, moment, -ms)


def test_after_an_outage_the_owners_get_a_moment_to_renew(scene: Scene) -> None:
    scene.turns.sweep()
    claim = scene.start("a")
    scene.expire_lease()
    _be_silent(scene)
    assert scene.turns.sweep() == Swept(1, 0, 0, 0, 0)
    assert scene.turns.sweep() == NOTHING
    assert scene.turns.renew("w1", [claim]) == ["kept"]
    assert scene.complete(claim) is State.COMPLETED


def _set_the_clock_back(scene: Scene, ms: int = AN_HOUR_MS) -> None:
    """Let all that was written so far have been written by a clock that was so far ahead."""
    for session, moment in scene.client.zrange(scene.keys.due, 0, -1, withscores=True):
        scene.client.zadd(scene.keys.due, {session: moment + ms})
        if lease := scene.client.hget(scene.keys.session(session), "lease"):
            scene.client.hset(scene.keys.session(session), "lease", int(lease) + ms)
    for worker, heard in scene.client.zrange(scene.keys.heard, 0, -1, withscores=True):
        scene.client.zadd(scene.keys.heard, {worker: heard + ms})
    for moment in ("called", "since", "patience"):
        if scene.client.hexists(scene.keys.stats, moment):
            scene.client.hincrby(scene.keys.stats, moment, ms)


def test_a_dispatch_that_was_lost_before_the_clock_was_set_back_is_sent_again(scene: Scene) -> None:
    scene.turns.sweep()
    scene.submit("a")
    scene.pop()
    _set_the_clock_back(scene)
    scene.turns.reap("w2")
    assert scene.turns.sweep(worker="w2") == Swept(1, 0, 1, 0, 0)
    assert scene.queue() == ["a"]
    assert scene.turns.sweep(worker="w2") == NOTHING


def test_a_retry_that_waits_while_the_clock_is_set_back_comes(scene: Scene) -> None:
    scene.turns.sweep()
    scene.turns.requeue(scene.start("a"), delay=1)
    _set_the_clock_back(scene)
    assert scene.turns.sweep() == Swept(1, 1, 0, 0, 0)
    assert scene.queue() == ["a"]


def test_a_lease_ends_in_time_although_the_clock_was_set_back(scene: Scene) -> None:
    scene.turns.sweep()
    dead, alive = scene.start("a"), scene.start("b", session="bar")
    _set_the_clock_back(scene)
    assert scene.turns.sweep() == Swept(2, 0, 0, 0, 0)
    assert scene.turns.sweep() == NOTHING
    assert scene.turns.renew("w1", [alive]) == ["kept"]
    scene.expire_lease()
    _be_silent(scene, 8_001)
    scene.make_due()
    assert scene.turns.sweep().recovered == 1
    assert scene.complete(dead) is None
    assert scene.complete(alive) is State.COMPLETED


def test_what_is_put_off_for_good_reason_is_left_alone(scene: Scene) -> None:
    scene.turns.sweep()
    scene.turns.requeue(scene.start("a"), delay=50)
    _set_the_clock_back(scene, 5_000)
    assert scene.turns.sweep() == NOTHING


def test_after_that_moment_the_turn_is_taken(scene: Scene) -> None:
    scene.turns.sweep()
    scene.start("a")
    scene.expire_lease()
    _be_silent(scene)
    scene.turns.sweep()
    _be_silent(scene, 8_001)
    scene.make_due()
    assert scene.turns.sweep().recovered == 1


@pytest.mark.parametrize(("lease", "every"), [(0.5, 1), (8, 60), (8, 9)])
def test_sweeps_rarer_than_leases_still_find_the_dead(stage: Stage, lease: float, every: float) -> None:
    scene = stage.open(lease_seconds=lease, sweep_seconds=every)
    scene.turns.sweep()
    scene.start("a")
    scene.expire_lease()
    for _ in range(3):
        _be_silent(scene, round(every * 1000) + 1)
        scene.make_due()
        scene.turns.sweep()
    assert scene.stat("recovered") == 1


def test_sweeps_that_are_late_again_and_again_still_find_the_dead(scene: Scene) -> None:
    scene.turns.sweep()
    scene.start("a")
    scene.expire_lease()
    for _ in range(3):
        _be_silent(scene)
        scene.make_due()
        scene.turns.sweep()
    assert scene.stat("recovered") == 1


def test_a_due_entry_of_an_idle_session_goes(scene: Scene) -> None:
    scene.client.zadd(scene.keys.due, {"foo": 1})
    assert scene.turns.sweep().seen == 1
    scene.assert_idle()


def test_a_session_whose_head_is_gone_moves_on(scene: Scene) -> None:
    scene.submit("a", "b", "c")
    scene.client.delete(scene.keys.turn("a"), scene.keys.turn("b"))
    scene.make_due()
    scene.turns.sweep()
    assert scene.queue() == ["a", "c"]
    assert scene.turns.claim("a", "w1", "n") == "unknown"
    scene.complete(scene.claim("c"))
    assert scene.waiting() == []
    assert scene.seat() == {}


def test_two_sweeps_at_once_do_it_once(scene: Scene) -> None:
    scene.start("a")
    scene.expire_lease()
    assert [scene.turns.sweep().recovered, scene.turns.sweep().recovered] == [1, 0]
    assert scene.queue() == ["a"]


def test_dispatches_of_one_turn_carry_different_tags(scene: Scene) -> None:
    scene.submit("a")
    tags = set()
    for _ in range(3):
        tags.add(json.loads(scene.client.rpop("chat"))["properties"]["delivery_tag"])
        scene.make_due()
        scene.turns.sweep()
    assert len(tags) == 3


def test_a_backlog_is_not_sent_again(scene: Scene) -> None:
    """Far more turns than can be claimed within the grace, swept all along: hardly a dispatch is doubled."""
    total, lost_each = 400, 50
    for number in range(total):
        scene.submit(f"t{number}", session=f"s{number}", options=Options(queue=("chat", "batch")[number % 2]))
    popped = itertools.count(1)
    for _ in range(4 * total):
        for queue in ("chat", "batch"):
            id = scene.pop(queue)
            if id is not None and next(popped) % lost_each:
                scene.complete(scene.claim(id))
        _all_due(scene)
        scene.turns.sweep()
        if scene.stat("open") == 0:
            break
    assert scene.stat("completed") == total
    sent = scene.stat("sent:chat") + scene.stat("sent:batch")
    assert sent <= total * 1.05


def _all_due(scene: Scene) -> None:
    """Let the time pass that a dispatch is given at the least."""
    now = max(scene.client.time()[0] * 1000, 1)
    for session, _ in scene.client.zrangebyscore(scene.keys.due, "-inf", now + 6_000, withscores=True):
        scene.make_due(session)


def test_the_dead_are_found_without_memory(cramped: tuple[Scene, Memory]) -> None:
    scene, memory = cramped
    scene.start("a", session="s1")
    scene.submit("b", session="s2")
    scene.pop()
    scene.expire_lease("s1")
    scene.make_due("s2")
    memory.fill()
    assert scene.turns.sweep() == Swept(2, 0, 1, 1, 0)
    for id in "ab":
        assert scene.complete(scene.claim(id)) is State.COMPLETED
    assert scene.history("s1") == pairs("a")
