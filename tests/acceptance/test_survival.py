"""The promise, end to end: real workers, killed with signal 9 while they answer."""

import itertools
import json
from pathlib import Path

import pytest
import redis

from tests.support.processes import Worker, offline_model
from tests.support.wait import wait_until
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore

SESSIONS, TURNS = 50, 20
TURNS_A_KILL = 120
PATIENCE_SECONDS = 120.0


@pytest.mark.timeout(600)
def test_a_thousand_turns_survive_workers_killed_every_few_seconds(redis_url: str, tmp_path: Path) -> None:
    store = TurnStore(Settings(redis_url=redis_url))
    asked = {f"s{s}": [f"s{s}-{t}" for t in range(TURNS)] for s in range(SESSIONS)}
    with offline_model("--latency", "0.3") as base_url:
        workers = [Worker(redis_url, tmp_path, concurrency=25, OPENAI_BASE_URL=base_url) for _ in range(2)]
        try:
            for worker in workers:
                worker.start(ready=False)
            for number, (session, turns) in itertools.product(range(TURNS), asked.items()):
                store.submit(turns[number], session, f"question {number} of {session}")
            kills = _kill_in_turn_until_all_is_done(workers, store)
        finally:
            for worker in workers:
                worker.stop()
    assert kills == 8
    for session, turns in asked.items():
        assert _in_history(store, session) == turns
        assert all(store.status(turn).state is State.COMPLETED for turn in turns)
    _nothing_is_left(store)


def _kill_in_turn_until_all_is_done(workers: list[Worker], store: TurnStore) -> int:
    """Kill a worker each time so many more turns are completed, however fast the machine is."""
    total = SESSIONS * TURNS

    def completed() -> int:
        return store.stats().get("completed", 0)

    kills = 0
    for milestone in range(TURNS_A_KILL, total, TURNS_A_KILL):
        wait_until(lambda: completed() >= milestone, f"{milestone} turns are completed", PATIENCE_SECONDS)  # noqa: B023 - at once
        victim = workers[kills % 2]
        victim.kill()
        victim.start(ready=False)
        kills += 1
    wait_until(lambda: completed() >= total, "all turns are completed", PATIENCE_SECONDS)
    return kills


def _in_history(store: TurnStore, session: str) -> list[str]:
    elements = [json.loads(element) for element in reversed(store.history(session))]
    assert [element["type"] for element in elements] == ["human", "ai"] * (len(elements) // 2)
    humans, ais = elements[::2], elements[1::2]
    for human, ai in zip(humans, ais, strict=True):
        assert human["turnstile"]["turn"] == ai["turnstile"]["turn"]
        assert human["data"]["content"] in ai["data"]["content"]
    return [human["turnstile"]["turn"] for human in humans]


def _nothing_is_left(store: TurnStore) -> None:
    client: redis.Redis = store.client
    left = [key for name in ("session", "mailbox") for key in client.scan_iter(match=f"{store.settings.key_prefix}{name}:*")]
    assert left == []
    assert client.zcard(store.keys.due) == 0
    assert store.stats()["open"] == 0
