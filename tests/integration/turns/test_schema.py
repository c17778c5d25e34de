"""Real processes of two schemas: the older ones go on until they end, and do not start again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gateways import Gateway
from tests.support.processes import Process, Worker
from tests.support.turns import ended
from tests.support.wait import PATIENCE_SECONDS, wait_until
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.schema import SCHEMA
from turnstile.turns.store.turns import TurnStore

WRONG_USE = 2
NEXT = f"(schema {SCHEMA + 1}) has stored what this one, "


def newer_worker(redis_url: str, folder: Path) -> Worker:
    worker = Worker(redis_url, folder)
    worker.command[worker.command.index("-A") + 1] = "tests.support.newer"
    return worker


def refusal(process: Process) -> str:
    """Start a process that must not start; return the one line that it says."""
    process.start(ready=False)
    assert process.process
    assert process.process.wait(PATIENCE_SECONDS) == WRONG_USE, process.text()
    assert "Traceback" not in process.text()
    [line] = [line for line in process.text().splitlines() if line.startswith("turnstile: ")]
    return line


def test_an_older_version_works_beside_a_newer_one_until_it_ends_and_does_not_start_again(
    tmp_path: Path, redis_url: str
) -> None:
    turns = TurnStore(Settings(redis_url=redis_url))
    ours, newer = Worker(redis_url, tmp_path), newer_worker(redis_url, tmp_path)
    with ours:
        assert turns.schema()[0] == SCHEMA
        with newer:
            assert turns.schema()[0] == SCHEMA + 1
            for number in range(20):
                turns.submit(f"t{number}", f"s{number % 4}", "hello")
            for number in range(20):
                assert ended(turns, f"t{number}").state is State.COMPLETED
            for process in (Worker(redis_url, tmp_path), Gateway(redis_url, tmp_path)):
                assert NEXT in refusal(process)
            turns.submit("last", "s0", "hello")
            assert ended(turns, "last").state is State.COMPLETED
            assert ours.process
            assert ours.process.poll() is None
    assert NEXT in refusal(ours)


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path / "server") as running:
        yield running


def test_one_that_starts_while_redis_is_away_is_refused_when_it_is_back(own_server: EmbeddedServer, tmp_path: Path) -> None:
    turns = TurnStore(Settings(redis_url=own_server.url))
    turns.client.hset(turns.keys.schema, mapping={"number": SCHEMA + 1, "version": "9.8.7"})
    own_server.kill()
    worker, gateway = Worker(own_server.url, tmp_path), Gateway(own_server.url, tmp_path)
    gateway.start()
    worker.start(ready=False)
    wait_until(lambda: "does not answer" in worker.text(), "the worker waits for Redis")
    own_server.start()
    turns.submit("t", "s", "hello")
    assert worker.process
    worker.process.wait(PATIENCE_SECONDS)
    assert worker.text().count(NEXT) == 1
    assert turns.status("t").state is State.QUEUED
    assert turns.status("t").attempts == 0
    with gateway.http() as http:
        wait_until(
            lambda: http.get("/readyz").json().get("error", {}).get("code") == "settings_differ", "the gateway is unready"
        )
    assert gateway.text().count(NEXT) == 1
    gateway.stop()
