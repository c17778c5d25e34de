"""Behind Sentinel: queue, history and events move to the replica when the primary dies, and nobody restarts anything."""

import asyncio
import itertools
import json
import signal
import socket
import time
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.chaos.cluster import Cluster
from tests.support.processes import Worker, offline_model
from tests.support.wait import PATIENCE_SECONDS, wait_until
from turnstile.producers.client import AsyncChatClient, ChatClient
from turnstile.turns.errors import QueueUnreachable, TurnCancelled
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore

SESSIONS, BEFORE, AFTER = 5, 10, 10
LONG, LONG_SECONDS = 40, 8
# Far above the longest time-out of a connection (10 s), and far below seven of them.
FOLLOWED_SECONDS = 30.0


def _submit(store: TurnStore, turn: str, session: str) -> None:
    def accepted() -> bool:
        with suppress(QueueUnreachable):
            store.submit(turn, session, f"What of {turn}?")
            return True
        return False

    wait_until(accepted, f"{turn} is accepted")


@pytest.mark.timeout(240)
def test_turns_go_on_after_a_failover(tmp_path: Path) -> None:
    sessions = [f"s{n}" for n in range(SESSIONS)]
    with offline_model("--latency", "0.5") as model_url, Cluster(tmp_path) as cluster:
        settings = Settings(redis_url=cluster.url)
        store, client = TurnStore(settings), ChatClient(cluster.url, settings)
        with Worker(cluster.url, tmp_path, OPENAI_BASE_URL=model_url):
            for number, session in itertools.product(range(BEFORE), sessions):
                _submit(store, f"{session}-{number}", session)
            # What the replica has cannot be lost; what it has not is docs/reliability.md's business.
            store.client.wait(1, 5_000)
            cluster.fail_over()
            for number, session in itertools.product(range(BEFORE, BEFORE + AFTER), sessions):
                _submit(store, f"{session}-{number}", session)
            for session in sessions:
                assert "".join(client.turn(f"{session}-{BEFORE + AFTER - 1}").stream(timeout=PATIENCE_SECONDS))
        for session in sessions:
            asked = [f"{session}-{number}" for number in range(BEFORE + AFTER)]
            assert _answered(store, session) == asked
            assert all(store.status(turn).state is State.COMPLETED for turn in asked)


def _answered(store: TurnStore, session: str) -> list[str]:
    elements = [json.loads(element) for element in reversed(store.history(session))]
    assert [element["type"] for element in elements] == ["human", "ai"] * (len(elements) // 2)
    return [element["turnstile"]["turn"] for element in elements[::2]]


@pytest.mark.timeout(400)
def test_long_turns_outlive_a_primary_that_falls_silent(tmp_path: Path) -> None:
    """A power cut, a partition: no connection is closed. Two workers are in the middle of their turns."""
    turns = [f"t{number}" for number in range(LONG)]
    with offline_model("--latency", str(LONG_SECONDS)) as model_url, Cluster(tmp_path) as cluster:
        store = TurnStore(Settings(redis_url=cluster.url))
        with Worker(cluster.url, tmp_path, OPENAI_BASE_URL=model_url), Worker(cluster.url, tmp_path, OPENAI_BASE_URL=model_url):
            for turn in turns:
                _submit(store, turn, f"session-{turn}")
            wait_until(lambda: store.stats().get("claimed", 0) == LONG, "all turns run")
            store.client.wait(1, 5_000)
            cluster.fail_over(signal.SIGSTOP)
            store.submit("between", "session-between", "question")
            wait_until(lambda: _count(store, "completed") + _count(store, "failed") == LONG + 1, "all turns have ended")
            cluster.mend()
            _submit(store, "after", "session-after")
            wait_until(lambda: store.status("after").state is State.COMPLETED, "a turn after it all is completed")
        records = [store.status(turn) for turn in turns]
        assert {record.state for record in records} == {State.COMPLETED}
        assert max(record.attempts for record in records) <= 2
        assert all(len(store.history(f"session-{turn}")) == 2 for turn in turns)


@pytest.mark.timeout(240)
def test_every_client_leaves_a_primary_that_falls_silent(tmp_path: Path) -> None:
    """Each is asked once, over a connection that stood before: no error, and no longer than it takes to notice."""
    with Cluster(tmp_path) as cluster:
        settings = Settings(redis_url=cluster.url)
        store = TurnStore(settings)
        store.submit("t0", "s0", "question")

        async def ask_all() -> list[float]:
            async with AsyncChatClient(settings=settings) as client:
                turn = await client.ask("s1", "question", id="t1")
                reader = asyncio.create_task(turn.result(timeout=PATIENCE_SECONDS))
                plain = client.store.client
                await plain.ping()
                await asyncio.to_thread(lambda: store.client.wait(1, 5_000))
                await asyncio.to_thread(cluster.fail_over, signal.SIGSTOP)
                calls = (asyncio.to_thread(store.submit, "t2", "s2", "question"), client.ask("s3", "question"), plain.ping())
                took = await asyncio.gather(*(_timed(call) for call in calls))
                await asyncio.to_thread(store.cancel, "t1")
                with pytest.raises(TurnCancelled):
                    await reader
                return took

        assert max(asyncio.run(ask_all())) < FOLLOWED_SECONDS


async def _timed(call: Awaitable[object]) -> float:
    began = time.monotonic()
    await call
    return time.monotonic() - began


def _count(store: TurnStore, name: str) -> int:
    with suppress(QueueUnreachable):
        return store.stats().get(name, 0)
    return 0


@pytest.mark.timeout(240)
def test_a_sentinel_that_is_silent_holds_nobody_up(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        offline_model() as model_url,
        Cluster(tmp_path) as cluster,
        Worker(url := _before(cluster.url, silent.getsockname()[1]), tmp_path, OPENAI_BASE_URL=model_url),
    ):
        client = ChatClient(url)
        assert client.ask("foo", "hello").result(timeout=PATIENCE_SECONDS) == "You said: hello"

        async def ask() -> str:
            async with AsyncChatClient(url) as awaited:
                return await (await awaited.ask("foo", "and again")).result(timeout=PATIENCE_SECONDS)

        assert asyncio.run(ask()) == "You said: and again"


def _before(url: str, port: int) -> str:
    """Return the cluster's URL with another sentinel before its own."""
    return url.replace("sentinel://", f"sentinel://127.0.0.1:{port},")


def test_a_primary_without_its_replica_refuses_turns_when_told_to(tmp_path: Path) -> None:
    options = {"min-replicas-to-write": "1", "min-replicas-max-lag": "1"}
    with Cluster(tmp_path, options) as cluster:
        store = TurnStore(Settings(redis_url=cluster.url))
        _submit(store, "t1", "s1")
        cluster.servers[1].kill()

        def refused() -> bool:
            try:
                store.submit("t2", "s1", "question")
            except QueueUnreachable as error:
                return "takes no writes" in str(error)
            return False

        wait_until(refused, "the primary has missed its replica")
        cluster.servers[1].start()
        _submit(store, "t2", "s1")
