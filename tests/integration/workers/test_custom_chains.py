"""Workers with chains of their users: deadly, blocking, raising ones, and the seed's own."""

import json
import signal
from pathlib import Path

import pytest

from tests.support.processes import Worker
from tests.support.turns import ended
from tests.support.wait import PATIENCE_SECONDS, wait_until
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore


def test_a_question_that_kills_workers_ends_as_failed(tmp_path: Path, redis_url: str) -> None:
    turns = TurnStore(Settings(redis_url=redis_url))

    def worker() -> Worker:
        return Worker(redis_url, tmp_path, TURNSTILE_CHAIN="tests.chains.odd:deadly", TURNSTILE_MAX_ATTEMPTS="2")

    turns.submit("deadly", "foo", "die")
    turns.submit("after", "foo", "hello")
    for _ in range(2):
        dying = worker()
        dying.start(ready=False)
        assert dying.process
        assert dying.process.wait(PATIENCE_SECONDS) == -signal.SIGKILL
    with worker():
        assert ended(turns, "after").answer == "heard hello"
    record = turns.status("deadly")
    assert (record.state, record.code, record.attempts) == (State.FAILED, "worker_lost", 2)


def test_a_chain_that_blocks_does_not_block_the_others(tmp_path: Path, redis_url: str) -> None:
    turns, gate = TurnStore(Settings(redis_url=redis_url)), tmp_path / "gate"
    with Worker(redis_url, tmp_path, concurrency=3, TURNSTILE_CHAIN="tests.chains.odd:blocking", TURNSTILE_LEASE_SECONDS="1"):
        turns.submit("blocked-1", "one", f"gate {gate}")
        turns.submit("blocked-2", "two", f"gate {gate}")
        turns.submit("free", "three", "hello")
        assert ended(turns, "free").answer == "heard hello"
        leased = turns.client.zscore(turns.keys.due, "one")
        wait_until(lambda: turns.client.zscore(turns.keys.due, "one") != leased, "the blocked turn's lease is renewed")
        gate.touch()
        assert [ended(turns, f"blocked-{n}").attempts for n in (1, 2)] == [1, 1]


def test_a_chain_that_raises_fails_its_turn_without_telling_tales(tmp_path: Path, redis_url: str) -> None:
    turns = TurnStore(Settings(redis_url=redis_url))
    with Worker(redis_url, tmp_path, TURNSTILE_CHAIN="tests.chains.odd:raising") as worker:
        turns.submit("raises", "foo", "a-secret-word")
        record = ended(turns, "raises")
        assert (record.state, record.code) == (State.FAILED, "chain_error")
        assert "a-secret-word" not in (record.message or "") + worker.text()


@pytest.mark.parametrize("name", ["exiting", "exiting_in_a_task"])
def test_a_chain_that_would_end_the_process_ends_its_turn_alone(tmp_path: Path, redis_url: str, name: str) -> None:
    turns = TurnStore(Settings(redis_url=redis_url))
    with Worker(redis_url, tmp_path, TURNSTILE_CHAIN=f"tests.chains.odd:{name}") as worker:
        turns.submit("exits", "foo", "exit")
        turns.submit("after", "foo", "hello")
        assert ended(turns, "after").answer == "heard hello"
        record = turns.status("exits")
        assert (record.state, record.code, record.attempts) == (State.FAILED, "chain_error", 1)
        assert worker.stop() == 0


def test_the_seeds_own_chain_commits_atomically(tmp_path: Path, redis_url: str, model: str) -> None:
    turns = TurnStore(Settings(redis_url=redis_url))
    chain = "tests.chains.seed:chain_with_history"
    with Worker(redis_url, tmp_path, TURNSTILE_CHAIN=chain, OPENAI_BASE_URL=model, OPENAI_API_KEY="none"):
        turns.submit("t1", "foo", "Hi! I'm bob")
        turns.submit("t2", "foo", "Whats my name", Options(stream=False))
        turns.submit("t3", "foo", "bad [[fail=400]]")
        turns.submit("t4", "foo", "Whats my name")
        assert "Bob" in ended(turns, "t4").outcome()
        assert "Bob" in ended(turns, "t2").outcome()
        assert ended(turns, "t3").state is State.FAILED
    elements = [json.loads(element) for element in reversed(turns.history("foo"))]
    assert [element["turnstile"]["turn"] for element in elements] == ["t1", "t1", "t2", "t2", "t4", "t4"]
    assert [element["type"] for element in elements] == ["human", "ai"] * 3
