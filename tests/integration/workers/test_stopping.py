"""Workers that stop: their turns go back to the queue."""

import signal
from pathlib import Path
from typing import Any

from kombu import Queue

from tests.support.processes import Worker
from tests.support.turns import ended
from tests.support.wait import PATIENCE_SECONDS, wait_until
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore
from turnstile.workers import app as _patched  # noqa: F401 - replaces kombu's parts
from turnstile.workers.celery_patches.broker import BrokerConnection, put_back


def test_a_worker_that_is_told_to_stop_gives_its_turns_back(model: str, tmp_path: Path, redis_url: str) -> None:
    turns = TurnStore(Settings(redis_url=redis_url))
    with Worker(redis_url, tmp_path, OPENAI_BASE_URL=model, TURNSTILE_SHUTDOWN_SECONDS="0.3") as first:
        turns.submit("given-back", "foo", "slow [[hang times=1 key=given-back]]")
        wait_until(lambda: turns.status("given-back").state is State.RUNNING, "the turn runs")
        with Worker(redis_url, tmp_path, OPENAI_BASE_URL=model):
            assert first.stop() == 0
            record = ended(turns, "given-back")
    assert (record.state, record.attempts) == (State.COMPLETED, 2)
    assert turns.stats()["requeued"] == 1
    assert len(turns.history("foo")) == 2


def test_a_message_that_comes_after_the_last_fetch_goes_back_at_once(redis_url: str) -> None:
    turns = TurnStore(Settings(redis_url=redis_url))
    with BrokerConnection(redis_url) as connection:
        consumer = connection.Consumer([Queue("chat")])
        consumer.consume()
        channel: Any = consumer.channel
        channel.connection.cycle._register_BRPOP(channel)
        consumer.cancel()
        turns.submit("late", "bar", "hi")
        queue = turns.keys.queue("chat")
        wait_until(lambda: turns.client.llen(queue) == 0, "the message is handed out")
        put_back(channel)
        assert turns.client.llen(queue) == 1


def test_a_cold_shutdown_gives_turns_back_without_a_grace(model: str, tmp_path: Path, redis_url: str) -> None:
    turns = TurnStore(Settings(redis_url=redis_url))
    with Worker(redis_url, tmp_path, OPENAI_BASE_URL=model, TURNSTILE_SHUTDOWN_SECONDS="600") as first:
        turns.submit("cut-short", "foo", "slow [[hang]]")
        wait_until(lambda: turns.status("cut-short").state is State.RUNNING, "the turn runs")
        first.signal(signal.SIGQUIT)
        assert first.process
        first.process.wait(PATIENCE_SECONDS)
        assert "Unrecoverable" not in first.text()
    assert turns.status("cut-short").state is State.QUEUED
    assert turns.stats()["requeued"] == 1


def test_a_worker_that_is_told_to_stop_leaves_although_redis_is_gone(model: str, tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "server") as server:
        turns = TurnStore(Settings(redis_url=server.url))
        with Worker(server.url, tmp_path, OPENAI_BASE_URL=model, TURNSTILE_SHUTDOWN_SECONDS="0.3") as worker:
            turns.submit("left-behind", "foo", "slow [[hang times=1 key=left-behind]]")
            wait_until(lambda: turns.status("left-behind").state is State.RUNNING, "the turn runs")
            server.kill()
            worker.stop(90)
        server.start()
        with Worker(server.url, tmp_path, OPENAI_BASE_URL=model):
            assert ended(turns, "left-behind").state is State.COMPLETED
        assert len(turns.history("foo")) == 2
