"""Connections that are open and dead: everybody finds out by himself, and nobody waits longer than he said."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from tests.chaos.proxy import FaultProxy
from tests.support.processes import Worker, offline_model
from tests.support.wait import PATIENCE_SECONDS, wait_until
from turnstile.producers.client import AsyncChatClient, ChatClient
from turnstile.turns.errors import QueueUnreachable, TurnNotFinished
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore

PATIENCE = 1.0
# Far above what a reader may take beyond its time-out on a busy machine, and far below what a hanging one takes.
BOUND = PATIENCE + 5.0


@contextmanager
def _at_work(worker: Worker) -> Iterator[Worker]:
    """A worker that takes tasks; starting takes long where many do it at once."""
    worker.start(ready=False)
    try:
        wait_until(lambda: " ready." in worker.text(), "the worker is ready")
        yield worker
    finally:
        worker.kill()


@pytest.fixture
def proxied(proxy: FaultProxy, redis_url: str) -> Settings:
    """Return settings that lead through the proxy to the test's database."""
    return Settings(redis_url=f"redis://127.0.0.1:{proxy.port}/{redis_url.rpartition('/')[2]}")


def test_a_client_gives_up_waiting_at_its_time_out(store: TurnStore, proxy: FaultProxy, proxied: Settings) -> None:
    turn = ChatClient(settings=proxied).ask("s1", "Anyone there?", id="t1")
    proxy.go_silent()
    began = time.monotonic()
    with pytest.raises(TurnNotFinished):
        turn.result(timeout=PATIENCE)
    with pytest.raises(TurnNotFinished):
        list(turn.stream(timeout=PATIENCE))
    assert time.monotonic() - began < 2 * BOUND
    proxy.heal()
    assert turn.status().state is State.QUEUED


async def test_an_awaited_client_gives_up_at_its_time_out(proxy: FaultProxy, proxied: Settings) -> None:
    async with AsyncChatClient(settings=proxied) as client:
        turn = await client.ask("s1", "Anyone there?", id="t1")
        proxy.go_silent()
        async with asyncio.timeout(BOUND):
            with pytest.raises(TurnNotFinished):
                await turn.result(timeout=PATIENCE)
        proxy.heal()


def test_a_reader_whose_connection_dies_reads_on_over_a_new_one(store: TurnStore, proxy: FaultProxy, proxied: Settings) -> None:
    turn = ChatClient(settings=proxied).ask("s1", "Anyone there?", id="t1")
    proxy.go_silent()
    with pytest.raises(TurnNotFinished):
        turn.result(timeout=PATIENCE)
    store.cancel("t1")
    proxy.heal()
    assert [event.data for event in turn.events(timeout=PATIENCE_SECONDS)][-1] == "cancelled"


@pytest.mark.timeout(240)
def test_a_worker_whose_connections_die_takes_up_work_again(
    store: TurnStore, proxy: FaultProxy, proxied: Settings, tmp_path: Path
) -> None:
    with offline_model() as model_url, _at_work(Worker(proxied.redis_url, tmp_path, OPENAI_BASE_URL=model_url)) as worker:
        store.submit("t1", "s1", "before")
        wait_until(lambda: store.status("t1").state is State.COMPLETED, "the first turn is completed")
        proxy.go_silent()
        store.submit("t2", "s1", "while nothing arrives")
        with pytest.raises(AssertionError):
            wait_until(lambda: store.status("t2").state is not State.QUEUED, "somebody takes it", 2)
        proxy.heal()
        store.submit("t3", "s2", "after")
        for turn in ("t2", "t3"):
            wait_until(lambda id=turn: store.status(id).state is State.COMPLETED, f"{turn} is completed", 90)  # type: ignore[misc]  # a lambda's default
        assert worker.process
        assert worker.process.poll() is None


@pytest.mark.timeout(240)
def test_a_turn_cut_off_with_its_worker_runs_elsewhere(
    store: TurnStore, proxy: FaultProxy, proxied: Settings, redis_url: str, tmp_path: Path
) -> None:
    with (
        offline_model("--latency", "1") as model_url,
        _at_work(Worker(proxied.redis_url, tmp_path, OPENAI_BASE_URL=model_url)),
    ):
        store.submit("t1", "s1", "question")
        wait_until(lambda: store.status("t1").state is State.RUNNING, "the turn runs")
        proxy.go_silent()
        with _at_work(Worker(redis_url, tmp_path, OPENAI_BASE_URL=model_url)):
            wait_until(lambda: store.status("t1").state is State.COMPLETED, "the turn is completed elsewhere")
    assert store.status("t1").attempts == 2
    assert len(store.history("s1")) == 2


@pytest.mark.timeout(240)
def test_a_worker_that_is_deaf_to_its_orders_keeps_its_turn(
    store: TurnStore, proxy: FaultProxy, proxied: Settings, redis_url: str, client: redis.Redis, tmp_path: Path
) -> None:
    """Only its subscription is dead: closed at the server, and the worker does not hear of it. Another checks presence."""
    with (
        offline_model("--latency", "6") as model_url,
        _at_work(Worker(proxied.redis_url, tmp_path, OPENAI_BASE_URL=model_url)),
    ):
        store.submit("t1", "s1", "question")
        wait_until(lambda: store.status("t1").state is State.RUNNING, "the turn runs")
        [worker] = client.hkeys(store.keys.workers)
        with _at_work(Worker(redis_url, tmp_path, OPENAI_BASE_URL=model_url)):
            _deafen(proxy, client)
            wait_until(lambda: _listeners(client, store.keys.orders(str(worker))) == 0, "nobody listens to the orders")
            wait_until(lambda: store.status("t1").state.ended, "the turn has ended")
            wait_until(lambda: _listeners(client, store.keys.orders(str(worker))) == 1, "the worker listens again")
    record = store.status("t1")
    assert (record.state, record.attempts) == (State.COMPLETED, 1)


def _deafen(proxy: FaultProxy, client: redis.Redis) -> None:
    """Close the subscription to orders behind the proxy, at the server alone; Celery's own is one to a pattern."""
    ports = [int(known["addr"].rpartition(":")[2]) for known in client.client_list(_type="pubsub") if known["psub"] == "0"]
    [link] = [link for port in ports if (link := proxy.link(port))]
    proxy.do(link.close_at_server)


def _listeners(client: redis.Redis, channel: str) -> int:
    [(_, count)] = client.pubsub_numsub(channel)
    return int(count)


def test_a_submission_to_a_dead_connection_is_not_made_twice(store: TurnStore, proxy: FaultProxy, proxied: Settings) -> None:
    client = ChatClient(settings=proxied)
    client.ask("s1", "first", id="t1")
    proxy.swallow_replies()
    with pytest.raises(QueueUnreachable):
        client.ask("s1", "second", id="t2")
    proxy.heal()
    assert client.ask("s1", "second", id="t2").id == "t2"
    assert store.stats()["accepted"] == 2
