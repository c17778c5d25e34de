"""One connection of a worker is lost, whichever it is and however often: work goes on within seconds."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.chaos.proxy import FaultProxy
from tests.processes import Worker
from tests.support import wait_until
from turns.states import State
from turns.store import TurnStore

# Far above what a worker takes to connect again on a busy machine, and far below a hang.
SOON = 25.0

_ids = itertools.count(1)


@pytest.fixture
def worker(redis_url: str, tmp_path: Path) -> Iterator[Worker]:
    with Worker(redis_url, tmp_path) as running:
        yield running


def answers(store: TurnStore, what: str) -> None:
    """A turn is asked and answered soon."""
    turn = f"t{next(_ids)}"
    store.submit(turn, turn, "hello")
    wait_until(lambda: store.status(turn).state is State.COMPLETED, f"a turn is answered {what}", SOON)


def connections(client: redis.Redis) -> dict[str, dict[str, str]]:
    """All connections to the test's database but the test's own, by id."""
    own = {str(client.client_id())}
    database = str(client.get_connection_kwargs()["db"])
    found = {entry["id"]: entry for entry in client.client_list() if entry["db"] == database}
    return {id: entry for id, entry in found.items() if id not in own and entry["cmd"] not in ("evalsha_ro", "client|list")}


def purpose(entry: dict[str, str]) -> str:
    """What a connection is for, as far as the server can tell."""
    return f"{entry['cmd']} sub={entry['sub']} psub={entry['psub']}"


@pytest.mark.timeout(300)
def test_each_connection_may_be_killed_one_after_another(store: TurnStore, client: redis.Redis, worker: Worker) -> None:
    answers(store, "at first")
    seen = set()
    for time in (1, 2):
        for id, entry in connections(client).items():
            seen.add(entry["cmd"])
            client.client_kill_filter(_id=id)
            answers(store, f"after {purpose(entry)} was killed, time {time}")
    assert {"brpop", "psubscribe", "subscribe", "blmove"} <= seen
    assert worker.stop() == 0


@pytest.mark.timeout(300)
def test_subscriptions_may_be_killed_again_and_again(store: TurnStore, client: redis.Redis, worker: Worker) -> None:
    for _ in range(5):
        for id, entry in connections(client).items():
            if entry["cmd"] in ("psubscribe", "subscribe"):
                client.client_kill_filter(_id=id)
        answers(store, "although no subscription is left")
    assert worker.stop() == 0


@pytest.mark.timeout(300)
@pytest.mark.parametrize("command", ["brpop", "psubscribe", "blmove", "evalsha"])
def test_a_connection_may_be_open_and_dead(
    store: TurnStore, client: redis.Redis, proxy: FaultProxy, redis_url: str, tmp_path: Path, command: str
) -> None:
    url = f"redis://127.0.0.1:{proxy.port}/{redis_url.rpartition('/')[2]}"
    with Worker(url, tmp_path) as worker:
        answers(store, "at first")
        found = wait_until(lambda: [one for one in connections(client).values() if command in one["cmd"]], f"a {command}")
        for entry in found:
            go_silent(proxy, int(entry["addr"].rpartition(":")[2]))
        answers(store, f"although the connection of {command} is dead")
        wait_until(lambda: command in [one["cmd"] for one in fresh(client, found)], f"another {command}", SOON)
        assert worker.stop() == 0


def fresh(client: redis.Redis, old: list[dict[str, str]]) -> list[dict[str, str]]:
    """Connections that are none of the old ones."""
    return [entry for id, entry in connections(client).items() if id not in {one["id"] for one in old}]


def go_silent(proxy: FaultProxy, port: int) -> None:
    """Let nothing pass any more through the connection that has this port at the server."""
    for link in list(proxy._links):
        if link._server and link._server[1].get_extra_info("sockname")[1] == port:
            link.dead = True
