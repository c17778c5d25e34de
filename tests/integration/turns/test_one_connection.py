"""One connection of a worker is lost, whichever it is and however often: work goes on within seconds."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.chaos.proxy import FaultProxy, Link
from tests.support.processes import Worker
from tests.support.wait import wait_until
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore

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
    """Return all connections to the test's database but the test's own, by id."""
    own = {str(client.client_id())}
    database = str(client.get_connection_kwargs()["db"])
    found = {entry["id"]: entry for entry in client.client_list() if entry["db"] == database}
    return {id: entry for id, entry in found.items() if id not in own and entry["cmd"] not in ("evalsha_ro", "client|list")}


def purpose(entry: dict[str, str]) -> str:
    """Return the purpose of a connection, as far as the server can tell."""
    return "subscribe" if entry["sub"] != "0" else "psubscribe" if entry["psub"] != "0" else entry["cmd"]


@pytest.mark.timeout(300)
def test_each_connection_may_be_killed_one_after_another(store: TurnStore, client: redis.Redis, worker: Worker) -> None:
    answers(store, "at first")
    seen = set()
    for time in (1, 2):
        for id, entry in connections(client).items():
            seen.add(purpose(entry))
            client.client_kill_filter(_id=id)
            answers(store, f"after {purpose(entry)} was killed, time {time}")
    assert {"brpop", "psubscribe", "subscribe", "blmove"} <= seen
    assert worker.stop() == 0


@pytest.mark.timeout(300)
def test_subscriptions_may_be_killed_again_and_again(store: TurnStore, client: redis.Redis, worker: Worker) -> None:
    for _ in range(5):
        for id, entry in connections(client).items():
            if "subscribe" in purpose(entry):
                client.client_kill_filter(_id=id)
        answers(store, "although no subscription is left")
    assert worker.stop() == 0


@pytest.mark.timeout(300)
@pytest.mark.parametrize("command", ["brpop", "psubscribe", "subscribe", "blmove", "evalsha"])
def test_a_connection_may_be_open_and_dead(
    store: TurnStore, client: redis.Redis, proxy: FaultProxy, redis_url: str, tmp_path: Path, command: str
) -> None:
    url = f"redis://127.0.0.1:{proxy.port}/{redis_url.rpartition('/')[2]}"
    with Worker(url, tmp_path) as worker:
        answers(store, "at first")
        found = wait_until(lambda: links(client, proxy, command), f"a {command}")
        for link in found.values():
            link.dead = True
        answers(store, f"although the connection of {command} is dead")
        wait_until(lambda: links(client, proxy, command).keys() - found, f"another {command}", SOON)
        assert worker.stop() == 0


@pytest.mark.timeout(300)
@pytest.mark.parametrize("command", ["brpop", "psubscribe"])
def test_a_connection_may_fall_silent_within_a_message(
    store: TurnStore, client: redis.Redis, proxy: FaultProxy, redis_url: str, tmp_path: Path, command: str
) -> None:
    url = f"redis://127.0.0.1:{proxy.port}/{redis_url.rpartition('/')[2]}"
    with Worker(url, tmp_path) as worker:
        answers(store, "at first")
        link = next(iter(wait_until(lambda: links(client, proxy, command), f"a {command}").values()))
        link.dead = True
        proxy.do(lambda: link._client[1].write(b"*4\r\n$8\r\npmessa"))
        answers(store, f"although half a message came over the connection of {command}")
        assert worker.stop() == 0


def links(client: redis.Redis, proxy: FaultProxy, what: str) -> dict[str, Link]:
    """Return the connections through the proxy that are there for this, by the server's id."""
    found = {id: one for id, one in connections(client).items() if purpose(one) == what}
    through = {id: proxy.link(int(one["addr"].rpartition(":")[2])) for id, one in found.items()}
    return {id: link for id, link in through.items() if link}
