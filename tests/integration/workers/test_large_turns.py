"""Large turns at a real worker: they wait for room in its memory, and keep nobody else waiting."""

import json
from pathlib import Path

import pytest

from tests.support.processes import Worker
from tests.support.turns import ended
from tests.support.wait import wait_until
from turnstile.memory.element import Element, write
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore

LENGTHS = [600_000, 700_000]
CHAIN = "tests.chains.odd:remembering"


@pytest.fixture
def turns(redis_url: str) -> TurnStore:
    turns = TurnStore(Settings(redis_url=redis_url))
    for session in ("one", "two"):
        for length in LENGTHS:
            turns.client.lpush(turns.keys.history(session), write(Element("human", {"content": "x" * length}, {})))
    return turns


def test_a_large_turn_waits_for_room_without_a_slot_and_is_asked_with_its_whole_history(
    tmp_path: Path, redis_url: str, turns: TurnStore
) -> None:
    gate = tmp_path / "gate"
    with Worker(redis_url, tmp_path, concurrency=2, TURNSTILE_CHAIN=CHAIN, TURNSTILE_LARGE_TURNS_BYTES="2000000") as worker:
        turns.submit("large-1", "one", f"gate {gate}")
        wait_until(lambda: turns.status("large-1").state is State.RUNNING, "the first one is at work")
        turns.submit("large-2", "two", "hello")
        wait_until(lambda: turns.stats().get("requeued", 0) >= 2, "the second one was put off more than once")
        # There are two slots: the one that waits has none.
        assert [turns.submit(f"small-{n}", f"small-{n}", "hi").id for n in range(3)]
        assert [ended(turns, f"small-{n}").answer for n in range(3)] == ["heard hi after []"] * 3
        assert turns.status("large-2").state in (State.QUEUED, State.RUNNING)
        assert "large turns wait for room" in worker.text()
        gate.touch()
        assert ended(turns, "large-1").answer == f"heard gate {gate} after {LENGTHS}"
        assert ended(turns, "large-2").answer == f"heard hello after {LENGTHS}"
    assert turns.status("large-1").attempts == 1
    assert [turns.client.llen(turns.keys.history(session)) for session in ("one", "two")] == [4, 4]


def test_a_large_turn_that_finds_no_room_until_its_deadline_fails(tmp_path: Path, redis_url: str, turns: TurnStore) -> None:
    gate = tmp_path / "gate"
    with Worker(redis_url, tmp_path, concurrency=2, TURNSTILE_CHAIN=CHAIN, TURNSTILE_LARGE_TURNS_BYTES="2000000"):
        turns.submit("large-1", "one", f"gate {gate}")
        wait_until(lambda: turns.status("large-1").state is State.RUNNING, "the first one is at work")
        turns.submit("large-2", "two", "hello", Options(deadline_seconds=3))
        record = ended(turns, "large-2")
        assert (record.state, record.code) == (State.FAILED, "deadline_exceeded")
        gate.touch()
        assert ended(turns, "large-1").state is State.COMPLETED


def test_a_large_question_is_asked_whole(tmp_path: Path, redis_url: str, turns: TurnStore) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 1_200_000}}
    options = Options(before=[{"role": "user", "content": [picture, picture]}], chain="careful")
    with Worker(redis_url, tmp_path, concurrency=2, TURNSTILE_CHAINS=json.dumps({"careful": CHAIN})):
        turns.submit("large", "three", "hello", options)
        assert ended(turns, "large").answer == "heard hello after [2]"
