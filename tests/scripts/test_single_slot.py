"""One worker with one slot: no dispatch stands while it is at work, and the next turn goes as soon as the slot is free."""

from collections.abc import Callable

import pytest

from tests.scripts.scene import Scene
from turnstile.turns.question import Options
from turnstile.turns.store import registry
from turnstile.turns.turn import Claim

_CHAT, _BATCH = Options(), Options(queue="batch")


def _register(scene: Scene, worker: str, slots: int) -> None:
    now = scene.turns.now()
    facts = {**registry.introduce(scene.turns.settings), "started": now, "seen": now, "concurrency": slots}
    assert not scene.turns.register_worker(worker, facts)


@pytest.fixture(autouse=True)
def _one_worker(scene: Scene) -> None:
    _register(scene, "w1", 1)
    assert scene.stat("slots") == 1


def _ask(scene: Scene, *ids: str, options: Options = _CHAT) -> None:
    """Submit turns; `a1` is one of tenant `a`, in session `a/1`."""
    for id in ids:
        scene.turns.submit(id, f"{id[0]}/{id[1:]}", "hi", options)


def _at_work(scene: Scene) -> Claim:
    """Let the slot be taken by a turn of tenant `a`, with two more waiting, and have tenant `b` ask after them."""
    _ask(scene, "a1", "a2", "a3")
    claim = scene.claim(str(scene.pop()))
    _ask(scene, "b1")
    assert claim.id == "a1"
    assert scene.queue() == []
    return claim


def _lose(scene: Scene, claim: Claim) -> None:
    scene.expire_lease(claim.session)
    scene.turns.sweep()


def _roll_back(scene: Scene, claim: Claim) -> None:
    scene.turns.submit("next", claim.session, "hi", when_busy="rollback")


_WAYS: dict[str, Callable[[Scene, Claim], object]] = {
    "it ends": lambda scene, claim: scene.complete(claim),
    "it ends with open calls": lambda scene, claim: scene.hold(claim),
    "it fails": lambda scene, claim: scene.fail(claim),
    "it is returned": lambda scene, claim: scene.turns.requeue(claim),
    "it is to be tried later": lambda scene, claim: scene.turns.requeue(claim, 5),
    "it is cancelled": lambda scene, claim: scene.turns.cancel(claim.id),
    "it is rolled back": _roll_back,
    "it is erased": lambda scene, claim: scene.turns.erase(claim.session),
    "its worker is lost": _lose,
}


@pytest.mark.parametrize("way", _WAYS)
def test_the_next_turn_goes_when_the_slot_falls_free(scene: Scene, way: str) -> None:
    _WAYS[way](scene, _at_work(scene))
    # Of its own tenant, one that has been at work goes first; after a claim the other tenant is next, whoever that was.
    assert len(scene.queue()) == 1
    scene.claim(str(scene.pop()))
    assert scene.queue() == []


@pytest.mark.parametrize("before", range(3))
def test_another_tenants_first_turn_is_next(scene: Scene, before: int) -> None:
    _ask(scene, *(f"a{number}" for number in range(10)))
    for _ in range(before):
        scene.complete(scene.claim(str(scene.pop())))
    claim = scene.claim(str(scene.pop()))
    _ask(scene, "b1")
    scene.complete(claim)
    assert scene.queue() == ["b1"]


def test_two_tenants_take_turns(scene: Scene) -> None:
    _ask(scene, *(f"a{number}" for number in range(10)), "b0")
    served = []
    for number in range(1, 11):
        claim = scene.claim(str(scene.pop()))
        served.append(claim.id[0])
        if claim.id[0] == "b":
            _ask(scene, f"b{number}")
        scene.complete(claim)
    assert served == ["a", "b"] * 5


def test_the_next_of_the_session_goes_too(scene: Scene) -> None:
    scene.submit("a1", "a2", session="a/1")
    scene.complete(scene.claim(str(scene.pop())))
    assert scene.queue() == ["a2"]


def test_sweeps_send_nothing_to_a_slot_that_is_taken(scene: Scene) -> None:
    claim = _at_work(scene)
    scene.turns.sweep()
    assert scene.queue() == []
    scene.complete(claim)
    assert scene.queue() == ["b1"]


def test_a_turn_that_comes_to_a_free_slot_goes_at_once(scene: Scene) -> None:
    scene.complete(_at_work(scene))
    while id := scene.pop():
        scene.complete(scene.claim(id))
    _ask(scene, "c1")
    assert scene.queue() == ["c1"]


@pytest.mark.parametrize("end", [lambda scene: scene.turns.cancel("a1"), lambda scene: scene.turns.erase("a/1")])
def test_a_dispatch_that_was_good_for_nothing_leaves_the_slot_free(scene: Scene, end: Callable[[Scene], object]) -> None:
    _ask(scene, "a1", "a2")
    end(scene)
    assert isinstance(scene.turns.claim(str(scene.pop()), "w1", "n"), str)
    assert scene.queue() == ["a2"]


def test_no_second_is_sent_before_the_first_is_claimed(scene: Scene) -> None:
    _ask(scene, "a1")
    id = str(scene.pop())
    _ask(scene, "a2", "b1")
    assert scene.queue() == []
    scene.complete(scene.claim(id))
    assert scene.queue() == ["b1"]


def test_the_sweep_finds_a_dispatch_that_was_lost_on_the_way(scene: Scene) -> None:
    _ask(scene, "a1")
    scene.pop()
    _ask(scene, "b1")
    scene.turns.sweep()
    assert scene.queue() == []
    scene.client.hincrby(scene.keys.stats, "sent_at:chat", -2_500)
    scene.turns.sweep()
    assert scene.queue() == ["b1"]


def test_what_comes_after_a_stale_dispatch_goes_at_once(scene: Scene) -> None:
    _ask(scene, "a1")
    scene.turns.cancel("a1")
    scene.turns.claim(str(scene.pop()), "w1", "n")
    _ask(scene, "b1")
    assert scene.queue() == ["b1"]


def test_a_repeated_claim_brings_out_nobody(scene: Scene) -> None:
    _ask(scene, "a1", "a2")
    id = str(scene.pop())
    first, again = (scene.turns.claim(id, "w1", "n") for _ in range(2))
    assert isinstance(first, Claim)
    assert isinstance(again, Claim)
    assert first.token == again.token
    assert scene.queue() == []


def test_each_queue_has_its_next_turn_chosen_then(scene: Scene) -> None:
    claim = _at_work(scene)
    _ask(scene, "c1", options=_BATCH)
    assert scene.queue("batch") == []
    scene.complete(claim)
    assert (scene.queue(), scene.queue("batch")) == (["b1"], ["c1"])


def test_a_second_worker_finds_a_dispatch(scene: Scene) -> None:
    _at_work(scene)
    _register(scene, "w2", 1)
    scene.turns.sweep()
    assert scene.queue() == ["b1"]


def test_a_worker_that_is_gone_keeps_nobody_waiting(scene: Scene) -> None:
    _at_work(scene)
    scene.client.hdel(scene.keys.workers, "w1")
    _ask(scene, "c1")
    assert scene.queue() == ["b1"]
