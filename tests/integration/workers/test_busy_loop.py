"""A worker whose loop is busy with a chain keeps its turns; one that is frozen loses them."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import Worker
from tests.support.wait import wait_until
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore

LEASE_SECONDS = 1.0
LEASES = 8


@pytest.fixture
def store(redis_url: str) -> TurnStore:
    return TurnStore(Settings(redis_url=redis_url, lease_seconds=LEASE_SECONDS))


@pytest.fixture
def workers(store: TurnStore, tmp_path: Path) -> Iterator[list[Worker]]:
    env = {"TURNSTILE_CHAIN": "tests.chains.hanging:spins_on_loop", "TURNSTILE_LEASE_SECONDS": str(LEASE_SECONDS)}
    two = [Worker(store.url, tmp_path, 20, **env) for _ in range(2)]
    yield two
    for worker in two:
        if worker.process:
            worker.kill()


def running(store: TurnStore, turn: str, question: str) -> None:
    store.submit(turn, turn, question)
    wait_until(lambda: store.status(turn).state is State.RUNNING, f"{turn} runs")


def answered(store: TurnStore, turn: str) -> None:
    wait_until(lambda: store.status(turn).state is State.COMPLETED, f"{turn} is answered")


def leases_pass(store: TurnStore) -> None:
    began = store.now()
    wait_until(lambda: store.now() > began + LEASES * LEASE_SECONDS, "several leases pass")


@pytest.mark.timeout(240)
def test_a_worker_whose_loop_computes_keeps_its_turns(store: TurnStore, workers: list[Worker], tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    busy, other = workers
    busy.start()
    running(store, "innocent", f"wait {gate}")
    running(store, "busy", f"spin {gate}")
    other.start()
    leases_pass(store)
    assert {store.status(turn).attempts for turn in ("innocent", "busy")} == {1}
    gate.touch()
    answered(store, "innocent")
    answered(store, "busy")
    assert {store.status(turn).attempts for turn in ("innocent", "busy")} == {1}
    assert store.stats().get("recovered", 0) == 0


@pytest.mark.timeout(240)
def test_a_worker_that_is_frozen_loses_its_turns(store: TurnStore, workers: list[Worker], tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    frozen, other = workers
    frozen.start()
    running(store, "turn", f"wait {gate}")
    other.start()
    frozen.signal(signal.SIGSTOP)
    wait_until(lambda: store.status("turn").attempts == 2, "the other worker has it")
    gate.touch()
    answered(store, "turn")
    frozen.signal(signal.SIGCONT)
    assert len(store.history("turn")) == 2
