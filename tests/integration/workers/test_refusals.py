"""A server that refuses a worker's commands for a while: logged once in its own words, and work goes on when it is over."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.support.processes import Worker
from tests.support.wait import wait_until
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore

OUTAGE_SECONDS = 15.0
# Each of a worker's parts has its say about the outage and about its end, and health about both; before, 77 a second.
MOST_LINES = 25


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path / "server", append_only=False) as own:
        yield own


@pytest.fixture
def admin(server: EmbeddedServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url) as client:
        yield client


@pytest.fixture
def store(server: EmbeddedServer) -> TurnStore:
    return TurnStore(Settings(redis_url=server.url))


def answers(store: TurnStore, turn: str) -> None:
    """A turn is asked and answered."""
    store.submit(turn, turn, "hello")
    wait_until(lambda: store.status(turn).state is State.COMPLETED, f"{turn} is answered")


def during_outage(worker: Worker, words: str) -> list[str]:
    """Return the lines of an outage whose cause the log names."""
    before = len(worker.text().splitlines())
    wait_until(lambda: words in "\n".join(worker.text().splitlines()[before:]), "the log names the cause")
    end = time.monotonic() + OUTAGE_SECONDS
    wait_until(lambda: time.monotonic() > end, "the outage is long enough")
    return worker.text().splitlines()[before:]


def recovered(worker: Worker, words: str) -> bool:
    """Return whether each part of the worker that named this cause has said since that it works again."""
    broken = {}
    for line in worker.text().splitlines():
        part, _, said = line.partition("] ")[2].partition(": ")
        if words in said:
            broken[part] = True
        elif said == "works again":
            broken[part] = False
    return words in worker.text() and not any(broken.values())


@pytest.mark.timeout(240)
def test_too_few_replicas_are_waited_out(admin: redis.Redis, store: TurnStore, tmp_path: Path) -> None:
    with Worker(store.url, tmp_path) as worker:
        answers(store, "before")
        admin.config_set("min-replicas-to-write", "1")
        lines = during_outage(worker, "NOREPLICAS")
        assert len(lines) <= MOST_LINES, "\n".join(lines)
        admin.config_set("min-replicas-to-write", "0")
        answers(store, "after")
        assert "Traceback" not in worker.text()
        assert worker.stop() == 0


@pytest.mark.timeout(240)
@pytest.mark.parametrize("command", ["brpop", "publish", "psubscribe", "blmove"])
def test_a_missing_right_is_named_and_its_return_noticed(
    admin: redis.Redis, store: TurnStore, tmp_path: Path, command: str
) -> None:
    with Worker(store.url, tmp_path) as worker:
        answers(store, "before")
        admin.acl_setuser("default", enabled=True, commands=[f"-{command}"])
        admin.client_kill_filter(_type="pubsub")
        lines = during_outage(worker, command)
        assert len(lines) <= MOST_LINES, "\n".join(lines)
        admin.acl_setuser("default", enabled=True, commands=[f"+{command}"])
        answers(store, "after")
        wait_until(lambda: recovered(worker, command), "the part that lacked the right works again")
        assert "Traceback" not in worker.text()
        assert worker.stop() == 0
