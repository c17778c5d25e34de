"""Slots of tenants: limits, shares, and the reserve for chats."""

from collections.abc import Callable

import pytest

from tests.scripts.scene import Scene
from tests.scripts.tenants import BATCH, ask, claim_all, have_slots, in_slots, running, tenants_of
from turnstile.turns.api_keys import Limits
from turnstile.turns.states import State
from turnstile.turns.store import registry


def test_a_tenant_has_no_more_slots_than_its_limit(scene: Scene) -> None:
    have_slots(scene, 20)
    ask(scene, "a", 6, quotas=running(2))
    ask(scene, "b", 5)
    assert tenants_of(claim_all(scene)) == {"a": 2, "b": 5}
    assert in_slots(scene, "a") == {"a/1", "a/2"}
    assert scene.client.zrange(scene.keys.parked("chat"), 0, -1) == ["a"]
    assert not scene.client.exists(scene.keys.rotation("chat"))


def test_who_is_at_its_limit_holds_nobody_up(scene: Scene) -> None:
    have_slots(scene, 8)
    scene.let_stand(1)
    ask(scene, "a", 30, quotas=running(1))
    ask(scene, "b", 4)
    assert [claim.id for claim in claim_all(scene)] == ["a1", "b1", "b2", "b3", "b4"]


@pytest.mark.parametrize("way", ["completed", "failed", "cancelled", "requeued", "delayed", "erased", "lost", "held"])
def test_a_slot_that_is_left_is_the_next_one_s(scene: Scene, way: str) -> None:
    have_slots(scene, 8)
    ask(scene, "a", 3, quotas=running(1))
    (claim,) = claim_all(scene)
    leave: dict[str, Callable[[], object]] = {
        "completed": lambda: scene.complete(claim),
        "failed": lambda: scene.fail(claim),
        "cancelled": lambda: scene.turns.cancel("a1"),
        "requeued": lambda: scene.turns.requeue(claim),
        "delayed": lambda: scene.turns.requeue(claim, 600),
        "erased": lambda: scene.turns.erase("a/1"),
        "lost": lambda: scene.lose("a/1"),
        "held": lambda: scene.hold(claim),
    }
    leave[way]()
    # A turn that has been at work goes before the others of its tenant.
    following = "a1" if way in ("requeued", "lost") else "a2"
    assert scene.queue() == [following]
    assert in_slots(scene, "a") == {f"a/{following[1:]}"}


def test_a_dispatch_that_is_cancelled_leaves_its_slot(scene: Scene) -> None:
    have_slots(scene, 8)
    ask(scene, "a", 2, quotas=running(1))
    assert scene.turns.cancel("a1") is State.CANCELLED
    assert scene.queue() == ["a1", "a2"]


def test_a_tenant_alone_has_all_slots(scene: Scene) -> None:
    have_slots(scene, 10)
    ask(scene, "a", 12)
    assert len(claim_all(scene)) == 12


def test_beside_others_a_tenant_has_its_share(scene: Scene) -> None:
    have_slots(scene, 8)
    ask(scene, "b", 1)
    (claim,) = claim_all(scene)
    scene.complete(claim)
    ask(scene, "a", 20)
    assert tenants_of(claim_all(scene)) == {"a": 6}
    ask(scene, "b", 2, first=2)
    assert tenants_of(claim_all(scene)) == {"b": 2}


def test_who_was_active_long_ago_has_no_share(scene: Scene) -> None:
    have_slots(scene, 8)
    ask(scene, "b", 1)
    (claim,) = claim_all(scene)
    scene.complete(claim)
    scene.client.zadd(scene.keys.tenants, {"b": 1})
    ask(scene, "a", 8)
    assert tenants_of(claim_all(scene)) == {"a": 8}


def test_sessions_without_a_tenant_have_a_share_too(scene: Scene) -> None:
    have_slots(scene, 8)
    ask(scene, "b", 1)
    (claim,) = claim_all(scene)
    scene.complete(claim)
    ask(scene, "", 20)
    assert tenants_of(claim_all(scene)) == {"": 6}


def test_without_tenants_nothing_is_counted(scene: Scene) -> None:
    have_slots(scene, 8)
    ask(scene, "", 3)
    claim_all(scene)
    found = {key.split(":")[1] for key in scene.client.keys("turnstile:*")}
    assert not found & {"slots", "tenants", "tenant", "open_turns", "parked", "batch_slots"}
    assert "slot" not in scene.seat("1")


def test_batch_leaves_slots_to_chat(scene: Scene) -> None:
    have_slots(scene, 20)
    ask(scene, "", 30, options=BATCH)
    claims = claim_all(scene, "batch")
    assert len(claims) == 18
    scene.complete(claims[0])
    assert len(scene.queue("batch")) == 1


def test_one_slot_is_for_all(scene: Scene) -> None:
    have_slots(scene, 1)
    ask(scene, "a", 2, options=BATCH)
    ask(scene, "b", 1)
    (claim,) = claim_all(scene, "batch")
    assert claim.id == "a1"
    assert [claim.id for claim in claim_all(scene)] == ["b1"]


def test_a_limit_that_grows_lets_who_waits_go(scene: Scene) -> None:
    have_slots(scene, 8)
    ask(scene, "a", 3, quotas=running(1))
    ask(scene, "a", 1, first=4, quotas=running(3))
    assert scene.queue() == ["a1", "a2", "a3"]


def test_more_slots_let_who_waits_go(scene: Scene) -> None:
    have_slots(scene, 4)
    ask(scene, "b", 1)
    ask(scene, "a", 9)
    assert tenants_of(claim_all(scene)) == {"a": 3, "b": 1}
    have_slots(scene, 8)
    scene.turns.sweep()
    assert len(in_slots(scene, "a")) == 6


def test_a_key_without_a_limit_takes_it_back(scene: Scene) -> None:
    have_slots(scene, 8)
    ask(scene, "a", 2, quotas=running(1))
    ask(scene, "a", 1, first=3, quotas=Limits().quotas)
    assert len(scene.queue()) == 3


def test_a_parked_tenant_that_leaves_its_line_is_forgotten(scene: Scene) -> None:
    have_slots(scene, 8)
    ask(scene, "a", 2, quotas=running(1))
    scene.turns.cancel("a2")
    assert not scene.client.keys(scene.keys.parked("*"))


def test_limits_hold_over_both_queues(scene: Scene) -> None:
    have_slots(scene, 20)
    ask(scene, "a", 1, quotas=running(1), options=BATCH)
    ask(scene, "a", 1, first=2, quotas=running(1))
    assert (scene.queue("batch"), scene.queue()) == (["a1"], [])
    scene.complete(claim_all(scene, "batch")[0])
    assert scene.queue() == ["a2"]


def test_workers_tell_how_many_slots_there_are(scene: Scene) -> None:
    facts = {**registry.introduce(scene.turns.settings), "started": 1, "seen": scene.turns.now(), "concurrency": 100}
    for _ in range(2):
        scene.turns.register_worker("w1", facts)
    assert scene.stat("slots") == 100


def test_the_audit_frees_what_nobody_has(scene: Scene) -> None:
    have_slots(scene, 8)
    ask(scene, "a", 3, quotas=running(1))
    for key in (scene.keys.slots("a"), scene.keys.batch_slots):
        scene.client.sadd(key, "a/gone")
    scene.client.zadd(scene.keys.open_turns("a"), {"gone": 1})
    scene.turns.audit([])
    assert in_slots(scene, "a") == {"a/1"}
    assert not scene.client.exists(scene.keys.batch_slots)
    assert scene.client.zrange(scene.keys.open_turns("a"), 0, -1) == ["a1", "a2", "a3"]


def test_the_audit_counts_what_an_older_version_has_accepted(scene: Scene) -> None:
    ask(scene, "a", 2)
    scene.client.delete(scene.keys.open_turns("a"), scene.keys.tenants)
    scene.turns.audit(["a/1", "a/2"])
    assert scene.client.zcard(scene.keys.open_turns("a")) == 2


def test_the_audit_forgets_tenants_that_do_nothing(scene: Scene) -> None:
    ask(scene, "a", 1)
    ask(scene, "b", 1)
    scene.complete(claim_all(scene)[1])
    scene.client.zadd(scene.keys.tenants, {"a": 1, "b": 1})
    scene.turns.audit([])
    assert scene.client.zrange(scene.keys.tenants, 0, -1) == ["a"]
