"""Tenants: who waits stands in a tenant's line, and slots go round among the tenants, by their weights."""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.scripts.scene import Scene
from turnstile.turns.errors import InvalidTurn
from turnstile.turns.question import Options
from turnstile.turns.states import State
from turnstile.turns.store import registry
from turnstile.turns.turn import Claim

_CHAT, _BATCH = Options(), Options(queue="batch")


@pytest.fixture(autouse=True)
def _one_stands_there(scene: Scene) -> None:
    """Let workers have few slots: one dispatch stands on a queue at a time."""
    scene.let_stand(1)


def _submit(scene: Scene, tenant: str, count: int, *, weight: int = 1, first: int = 1, options: Options = _CHAT) -> None:
    for number in range(first, first + count):
        scene.turns.submit(f"{tenant}{number}", f"{tenant}/{number}", "hi", options, weight=weight)


def _served(scene: Scene, queue: str = "chat") -> Iterator[str]:
    """Yield the turns in the order in which workers whose slots are all taken claim them."""
    while id := scene.pop(queue):
        scene.claim(id)
        yield id


def _ready(scene: Scene, tenant: str, queue: str = "chat") -> list[str]:
    return list(scene.client.zrange(scene.keys.ready(f"{queue}:{tenant}"), 0, -1))


def test_who_finds_no_room_is_ready_and_not_dispatched(scene: Scene) -> None:
    _submit(scene, "a", 3)
    assert scene.queue() == ["a1"]
    assert _ready(scene, "a") == ["a/2", "a/3"]
    assert [scene.seat(f"a/{n}")["phase"] for n in (1, 2, 3)] == ["dispatched", "ready", "ready"]
    assert [scene.turns.status(f"a{n}").dispatches for n in (1, 2, 3)] == [1, 0, 0]
    assert scene.turns.status("a3").place == 0
    assert scene.turns.claim("a3", "w1", "n") == "stale"


def test_the_line_is_that_of_acceptance(scene: Scene) -> None:
    _submit(scene, "a", 12)
    assert list(_served(scene)) == [f"a{n}" for n in range(1, 13)]
    assert scene.client.keys(scene.keys.ready("*")) == scene.client.keys(scene.keys.rotation("*")) == []


def test_a_tenant_that_comes_late_waits_for_one_turn_of_each_other(scene: Scene) -> None:
    _submit(scene, "a", 50)
    _submit(scene, "b", 50)
    served = _served(scene)
    assert {next(served)[0] for _ in range(3)} == {"a", "b"}
    _submit(scene, "c", 1)
    assert "c1" in [next(served) for _ in range(4)]


def test_slots_go_round(scene: Scene) -> None:
    for tenant in "abc":
        _submit(scene, tenant, 20)
    served = [id[0] for id in _served(scene)]
    assert Counter(served[1:31]) == {"a": 10, "b": 10, "c": 10}
    assert all(set(served[place : place + 3]) == set("abc") for place in range(1, 31, 3))


@pytest.mark.parametrize(("weight", "share"), [(3, 0.75), (9, 0.9), (100, 0.99)])
def test_a_weight_is_a_share(scene: Scene, weight: int, share: float) -> None:
    _submit(scene, "a", 100)
    _submit(scene, "b", 100, weight=weight)
    served = [id[0] for id in _served(scene)][1:101]
    assert abs(served.count("b") - 100 * share) <= 1


@pytest.mark.parametrize("weight", [0, -1, 101])
def test_a_weight_is_bounded(scene: Scene, weight: int) -> None:
    with pytest.raises(InvalidTurn, match="weight"):
        scene.turns.submit("a", "foo", "hi", weight=weight)


@pytest.mark.parametrize("early", [True, False], ids=["before the claim", "after it"])
def test_coming_and_going_gains_nothing(scene: Scene, early: bool) -> None:
    _submit(scene, "a", 60)
    _submit(scene, "b", 1)
    served: list[str] = []
    while len(served) < 40:
        id = str(scene.pop())
        served.append(id[0])
        if not early:
            scene.claim(id)
        if id[0] == "b":
            _submit(scene, "b", 1, first=len(served) + 1)
        if early:
            scene.claim(id)
    assert abs(served.count("b") - 20) <= 1


def test_who_comes_does_not_pass_those_who_wait(scene: Scene) -> None:
    _submit(scene, "a", 3)
    scene.pop()
    _submit(scene, "a", 1, first=4)
    assert scene.queue() == ["a2"]


def test_what_was_not_used_is_not_owed(scene: Scene) -> None:
    _submit(scene, "a", 30)
    served = [id[0] for _, id in zip(range(20), _served(scene), strict=False)]
    _submit(scene, "b", 30)
    served = [id[0] for _, id in zip(range(20), _served(scene), strict=False)]
    assert abs(served.count("b") - 10) <= 1


@pytest.mark.parametrize("turns", [1, 2, 5])
def test_who_comes_to_a_tenant_that_was_alone_is_next(scene: Scene, turns: int) -> None:
    _submit(scene, "a", 10)
    served = _served(scene)
    for _ in range(turns):
        next(served)
    _submit(scene, "b", 1)
    assert [next(served)[0] for _ in range(2)] == ["a", "b"]


def test_sessions_without_a_tenant_are_one_tenant(scene: Scene) -> None:
    for number in range(20):
        scene.submit(f"n{number}", session=f"s{number}")
    _submit(scene, "b", 20)
    served = [id[0] for id in _served(scene)]
    assert served[2:10].count("b") == 4


def test_a_worker_with_free_slots_brings_out_as_many(scene: Scene) -> None:
    _submit(scene, "a", 40)
    assert isinstance(scene.turns.claim(str(scene.pop()), "w1", "n", free=7), Claim)
    assert scene.queue() == [f"a{n}" for n in range(2, 9)]
    assert isinstance(scene.turns.claim(str(scene.pop()), "w1", "n", free=39), Claim)
    # So many in one go; the next claim brings out more.
    assert len(scene.queue()) == 26


def test_a_stale_dispatch_makes_room_too(scene: Scene) -> None:
    _submit(scene, "a", 3)
    assert scene.turns.cancel("a1") is State.CANCELLED
    assert scene.turns.claim(str(scene.pop()), "w1", "n") == "stale"
    assert scene.queue() == ["a2"]


def test_the_sweep_goes_on_when_all_dispatches_are_lost(scene: Scene) -> None:
    _submit(scene, "a", 3)
    scene.pop()
    scene.turns.sweep()
    assert scene.queue() == ["a2"]
    assert scene.turns.status("a1").dispatches == 1


def test_who_is_ready_is_counted(scene: Scene) -> None:
    _submit(scene, "a", 4)
    _submit(scene, "b", 3)
    _submit(scene, "b", 2, first=4, options=_BATCH)
    assert (scene.stat("ready:chat"), scene.stat("ready:batch")) == (6, 1)


def test_the_next_turn_of_a_session_waits_in_the_line(scene: Scene) -> None:
    scene.submit("a1", "a2", session="a/1")
    _submit(scene, "b", 3)
    claim = scene.claim(str(scene.pop()))
    scene.complete(claim)
    assert scene.seat("a/1")["phase"] == "ready"
    assert list(_served(scene)) == ["b1", "a2", "b2", "b3"]


def test_what_was_at_work_goes_before_its_tenants_others(scene: Scene) -> None:
    _submit(scene, "a", 3)
    lost, returned = scene.claim(str(scene.pop())), scene.claim(str(scene.pop()))
    _submit(scene, "a", 5, first=4)
    scene.expire_lease(lost.session)
    assert scene.turns.sweep().recovered == 1
    assert scene.turns.requeue(returned)
    assert list(_served(scene)) == ["a3", "a1", "a2", "a4", "a5", "a6", "a7", "a8"]


def test_a_retry_waits_for_the_other_tenants(scene: Scene) -> None:
    _submit(scene, "a", 6)
    claims = [scene.claim(str(scene.pop())) for _ in range(4)]
    _submit(scene, "b", 4)
    for claim in claims:
        scene.turns.requeue(claim, 5)
        scene.make_due(claim.session)
    assert scene.turns.sweep().retried == 4
    assert [id[0] for id in _served(scene)] == list("abababab" + "aa")


def test_a_cancelled_turn_leaves_the_line(scene: Scene) -> None:
    _submit(scene, "a", 3)
    scene.submit("next", session="a/2")
    assert scene.turns.cancel("a3") is State.CANCELLED
    assert _ready(scene, "a") == ["a/2"]
    assert scene.turns.cancel("a2") is State.CANCELLED
    assert (scene.seat("a/2")["head"], scene.seat("a/2")["phase"]) == ("next", "ready")
    assert list(_served(scene)) == ["a1", "next"]


def test_the_last_that_leaves_takes_its_tenant_along(scene: Scene) -> None:
    _submit(scene, "a", 1)
    _submit(scene, "b", 1)
    scene.turns.cancel("b1")
    assert not scene.client.keys(scene.keys.rotation("*"))
    _submit(scene, "c", 1)
    scene.turns.erase("c/1")
    assert not scene.client.keys(scene.keys.rotation("*"))
    assert not scene.client.keys(scene.keys.ready("*"))


def test_a_session_changes_its_queue_with_its_head(scene: Scene) -> None:
    _submit(scene, "a", 2)
    _submit(scene, "b", 1, options=_BATCH)
    scene.submit("next", session="a/2", options=_BATCH)
    scene.turns.cancel("a2")
    assert (_ready(scene, "a"), _ready(scene, "a", "batch")) == ([], ["a/2"])
    assert list(_served(scene)) == ["a1"]
    assert list(_served(scene, "batch")) == ["b1", "next"]


def test_each_queue_has_its_lines(scene: Scene) -> None:
    _submit(scene, "a", 3, options=_BATCH)
    _submit(scene, "b", 3)
    assert (scene.queue(), scene.queue("batch")) == (["b1"], ["a1"])
    assert list(_served(scene, "batch")) == ["a1", "a2", "a3"]
    assert list(_served(scene)) == ["b1", "b2", "b3"]


def test_a_lost_place_is_found_when_the_session_is_due(scene: Scene) -> None:
    _submit(scene, "a", 3)
    scene.client.delete(scene.keys.ready("chat:a"), scene.keys.rotation("chat"))
    for number in (2, 3):
        scene.make_due(f"a/{number}")
    assert scene.turns.sweep().seen == 2
    assert list(_served(scene)) == ["a1", "a2", "a3"]


def test_a_place_is_kept_however_often_it_is_looked_at(scene: Scene) -> None:
    _submit(scene, "a", 4)
    scene.make_due("a/2")
    scene.turns.sweep()
    assert _ready(scene, "a") == ["a/2", "a/3", "a/4"]
    assert float(scene.client.zscore(scene.keys.due, "a/2")) > scene.turns.now() * 1000


def test_a_broken_session_is_passed_over(scene: Scene) -> None:
    _submit(scene, "a", 4)
    scene.client.delete(scene.keys.session("a/2"))
    scene.client.set(scene.keys.session("a/2"), "broken")
    scene.client.delete(scene.keys.turn("a3"))
    scene.client.set(scene.keys.turn("a3"), "broken")
    assert list(_served(scene)) == ["a1", "a4"]


def test_a_broken_line_stops_nobody_else(scene: Scene) -> None:
    _submit(scene, "a", 4)
    _submit(scene, "b", 2)
    scene.client.delete(scene.keys.ready("chat:a"))
    scene.client.set(scene.keys.ready("chat:a"), "broken")
    assert list(_served(scene)) == ["a1", "b1", "b2"]


def test_what_an_older_version_has_dispatched_is_not_sent_again(scene: Scene) -> None:
    _submit(scene, "a", 3)
    # An older worker's sweep knows no lines: it dispatches what is due.
    scene.client.hset(scene.keys.session("a/2"), mapping={"phase": "dispatched", "sent": 7})
    assert list(_served(scene)) == ["a1", "a3"]
    assert isinstance(scene.turns.claim("a2", "w1", "n"), Claim)


def test_many_that_wait_no_more_are_passed_over_piece_by_piece(scene: Scene) -> None:
    _submit(scene, "b", 2)
    scene.client.zadd(scene.keys.ready("chat:a"), {f"gone/{n}": n for n in range(100)})
    scene.client.zadd(scene.keys.rotation("chat"), {"a": 0})
    scene.pop()
    for _ in range(6):
        scene.turns.sweep()
    assert scene.queue() == ["b2"]
    assert _ready(scene, "a") == []


def test_each_turn_is_dispatched_once(scene: Scene) -> None:
    for tenant in "abc":
        _submit(scene, tenant, 100, weight=ord(tenant) - ord("a") + 1)
    for id in iter(scene.pop, None):
        claim = scene.turns.claim(str(id), "w1", "n", free=3)
        assert isinstance(claim, Claim)
        scene.complete(claim)
    assert {scene.turns.status(f"{tenant}{n}").dispatches for tenant in "abc" for n in range(1, 101)} == {1}
    scene.assert_idle()


def test_workers_tell_how_many_dispatches_may_stand(scene: Scene) -> None:
    for number, slots in enumerate((100, 28)):
        facts = {**registry.introduce(scene.turns.settings), "started": number, "seen": scene.turns.now(), "concurrency": slots}
        for _ in range(2):
            assert not scene.turns.register_worker(f"w{number}", facts)
    assert scene.stat("standing") == 8
