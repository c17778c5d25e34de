"""register_worker and workers: who is at work, and who may not be beside them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.scripts.conftest import Memory, Stage
from tests.scripts.scene import Scene
from tests.support.wait import PATIENCE_SECONDS
from turnstile.turns.settings import Settings
from turnstile.turns.store import registry
from turnstile.turns.store.turns import TurnStore

DIFFERENT: dict[str, Any] = {
    "history_prefix": "theirs:",
    "history_ttl": 8.0,
    "result_ttl": 60.0,
    "failed_ttl": 61.0,
    "events_ttl": 62.0,
    "steps_ttl": 660,
}


@contextmanager
def listening(scene: Scene, *workers: str) -> Iterator[None]:
    with scene.client.pubsub() as orders:
        for worker in workers:
            orders.subscribe(scene.keys.orders(worker))
            assert orders.get_message(timeout=PATIENCE_SECONDS)
        yield


def register(scene: Scene, worker: str, started: float = 0, ago: float = 0, **changed: Any) -> str:
    """Enlist a worker that has some settings of its own; empty, or why it may not be."""
    settings = Settings(**changed)
    facts = {**registry.introduce(settings), "started": started, "seen": scene.turns.now() - ago}
    return str(scene.turns.run(TurnStore.register_worker.describe(TurnStore(settings, "redis://localhost"), worker, facts)))


def present(scene: Scene, limit: int = 100) -> list[str]:
    workers: dict[str, registry.Facts] = scene.turns.workers(limit)
    return sorted(workers)


def test_those_who_store_alike_are_let_in(scene: Scene) -> None:
    with listening(scene, "w1", "w2"):
        assert register(scene, "w1", history_ttl=8) == ""
        assert register(scene, "w2", history_ttl=8, max_attempts=2) == ""
        assert register(scene, "w1", history_ttl=8) == ""
        assert present(scene) == ["w1", "w2"]
        assert len(present(scene, limit=1)) == 1


@pytest.mark.parametrize("field", DIFFERENT)
def test_one_who_stores_otherwise_is_refused_by_name(scene: Scene, field: str) -> None:
    assert set(DIFFERENT) == set(registry.MUST_AGREE)
    with listening(scene, "w1", "w2"):
        assert register(scene, "w1") == ""
        refusal = register(scene, "w2", started=1, **{field: DIFFERENT[field]})
        assert f"TURNSTILE_{field.upper()} is {registry._said(DIFFERENT[field])} here" in refusal
        assert "at worker w1" in refusal
        assert "\n" not in refusal
        assert present(scene) == ["w1"]
        assert scene.client.hkeys(scene.keys.workers) == ["w1"]


def test_another_version_may_tell_of_more(scene: Scene) -> None:
    with listening(scene, "w1"):
        facts = {**registry.introduce(Settings()), "fingerprint": "another", "started": 0, "seen": scene.turns.now()}
        facts["settings"] = {**facts["settings"], "TURNSTILE_NEWER_TTL": "8"}
        scene.client.hset(scene.keys.workers, "w1", json.dumps(facts))
        assert register(scene, "w2", started=1) == ""
        assert register(scene, "w3", started=1, history_ttl=8) != ""


def test_one_that_was_there_first_does_not_yield(scene: Scene) -> None:
    with listening(scene, "w1", "w2"):
        assert register(scene, "w2", started=2) == ""
        scene.client.hdel(scene.keys.workers, "w2")
        assert register(scene, "w1", started=3, history_ttl=8) == ""
        assert register(scene, "w2", started=2) == ""
        assert register(scene, "w1", started=3, history_ttl=8) != ""
        assert present(scene) == ["w2"]


def test_the_dead_and_the_silent_refuse_nobody(scene: Scene) -> None:
    assert register(scene, "dead") == ""
    with listening(scene, "silent", "w2"):
        assert register(scene, "silent", ago=60) == ""
        assert register(scene, "w2", started=1, history_ttl=8) == ""
        assert present(scene) == ["w2"]


@pytest.mark.parametrize("entry", ["{}", "[]", "no JSON", '{"seen": "x"}', '{"seen": %s}', '{"seen": %s, "settings": 5}'])
def test_entries_of_others_refuse_nobody(scene: Scene, entry: str) -> None:
    scene.client.hset(scene.keys.workers, "w1", entry.replace("%s", str(scene.turns.now())))
    with listening(scene, "w1", "w2"):
        assert register(scene, "w2", started=1, history_ttl=8) == ""
        assert "w2" in present(scene)


def test_where_it_may_not_be_asked_who_listens_having_been_seen_counts(scene: Scene, stage: Stage, redis_url: str) -> None:
    user = {"enabled": True, "nopass": True, "keys": ["*"], "channels": ["*"], "commands": ["+@all", "-pubsub|numsub"]}
    scene.client.acl_setuser("deaf", **user)
    try:
        deaf = stage.open(redis_url=redis_url.replace("redis://", "redis://deaf:x@"))
        assert register(deaf, "w1") == ""
        assert register(deaf, "w2", started=1, history_ttl=8) != ""
    finally:
        scene.client.acl_deluser("deaf")


def test_a_full_server_takes_the_roll(cramped: tuple[Scene, Memory]) -> None:
    scene, memory = cramped
    memory.fill()
    assert register(scene, "w1") == ""
    assert scene.client.hkeys(scene.keys.workers) == ["w1"]
