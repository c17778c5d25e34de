"""Readers bear what happens to Redis and to the way there, and never outstay their time-out."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.chaos.proxy import FaultProxy, ProxyThread
from tests.support.step_worker import StepWorker
from tests.support.wait import wait_until, wait_until_async
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.producers.client import AsyncChatClient, ChatClient
from turnstile.turns.errors import QueueUnreachable, TurnNotFinished, UnknownTurn
from turnstile.turns.redis import silence
from turnstile.turns.settings import Settings
from turnstile.turns.store.bounded import BoundedStore

PATIENCE = 30.0


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path / "server", append_fsync="always") as running:
        yield running


@pytest.fixture
def proxy(own_server: EmbeddedServer) -> Iterator[FaultProxy]:
    with ProxyThread() as thread:
        yield thread.open(own_server.port)


@pytest.fixture
def direct(own_server: EmbeddedServer) -> Settings:
    return Settings(redis_url=own_server.url)


@pytest.fixture
def through(proxy: FaultProxy) -> Settings:
    return Settings(redis_url=f"redis://127.0.0.1:{proxy.port}/0")


@pytest.fixture
def no_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks on their own account: a reader that is not woken waits for ever."""
    monkeypatch.setattr("turnstile.producers.reading.follow.SAFETY_POLL_SECONDS", 3_600.0)


def waiting(settings: Settings) -> int:
    """Return the number of this process's subscribed readers, by the server's count; the watch's own channel is one more."""
    store = BoundedStore(settings).within(PATIENCE)
    return int(store.client.pubsub_numsub(store.keys.wake())[0][1])


def test_a_restart_of_redis_is_ridden_out(own_server: EmbeddedServer, direct: Settings) -> None:
    turn = ChatClient(settings=direct).ask("foo", "hello")
    with ThreadPoolExecutor(2) as threads:
        result = threads.submit(turn.result, PATIENCE)
        pieces = threads.submit(lambda: list(turn.stream(timeout=PATIENCE)))
        claim = StepWorker(direct).take()
        own_server.kill()
        own_server.start()
        StepWorker(direct).say(claim, "Hel", "lo")
        StepWorker(direct).answer(claim, "Hello")
        assert result.result() == "Hello"
        assert pieces.result() == ["Hel", "lo"]


async def test_a_restart_of_redis_is_ridden_out_awaited(own_server: EmbeddedServer, direct: Settings, no_polls: None) -> None:
    async with AsyncChatClient(settings=direct) as client:
        turn = await client.ask("foo", "hello")
        result = asyncio.create_task(turn.result(PATIENCE))
        await wait_until_async(lambda: asyncio.to_thread(waiting, direct), "the reader waits")
        claim = await asyncio.to_thread(StepWorker(direct).take)
        await asyncio.to_thread(own_server.kill)
        await asyncio.to_thread(own_server.start)
        await asyncio.to_thread(StepWorker(direct).answer, claim, "Hello")
        assert await result == "Hello"


def test_connections_that_are_cut_are_made_again(proxy: FaultProxy, direct: Settings, through: Settings) -> None:
    turn = ChatClient(settings=through).ask("foo", "hello")
    with ThreadPoolExecutor(1) as threads:
        pieces = turn.stream(timeout=PATIENCE)
        worker = StepWorker(direct)
        claim = worker.take()
        worker.say(claim, "Hel")
        assert next(pieces) == "Hel"
        second = threads.submit(next, pieces)
        proxy.cut()
        worker.say(claim, "lo")
        assert second.result() == "lo"


async def test_subscriptions_that_are_cut_are_made_again(
    proxy: FaultProxy, direct: Settings, through: Settings, no_polls: None
) -> None:
    async with AsyncChatClient(settings=through) as client:
        turn = await client.ask("foo", "hello")
        result = asyncio.create_task(turn.result(PATIENCE))
        await wait_until_async(lambda: asyncio.to_thread(waiting, direct), "the reader waits")
        proxy.cut()
        claim = await asyncio.to_thread(StepWorker(direct).take)
        await asyncio.to_thread(StepWorker(direct).answer, claim, "Hello")
        assert await result == "Hello"


def test_a_silent_connection_never_outstays_the_time_out(proxy: FaultProxy, through: Settings) -> None:
    turn = ChatClient(settings=through).ask("foo", "hello")
    with pytest.raises(TurnNotFinished):
        turn.result(timeout=0.1)
    proxy.go_silent()
    done = threading.Event()

    def read() -> None:
        with pytest.raises(TurnNotFinished):
            turn.result(timeout=0.5)
        done.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    # redis-py alone would need a minute: seven tries of ten seconds.
    wait_until(done.is_set, "the reader has given up")


async def test_a_silent_connection_never_outstays_the_time_out_awaited(proxy: FaultProxy, through: Settings) -> None:
    async with AsyncChatClient(settings=through) as client:
        turn = await client.ask("foo", "hello")
        proxy.go_silent()
        async with asyncio.timeout(15):
            with pytest.raises(TurnNotFinished):
                await turn.result(timeout=0.5)


async def test_a_silent_subscription_is_noticed_and_replaced(
    proxy: FaultProxy, direct: Settings, through: Settings, no_polls: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "SILENT_SECONDS", 0.5)
    async with AsyncChatClient(settings=through) as client:
        turn = await client.ask("foo", "hello")
        result = asyncio.create_task(turn.result(PATIENCE))
        await wait_until_async(lambda: asyncio.to_thread(waiting, direct), "the reader waits")
        proxy.go_silent()
        claim = await asyncio.to_thread(StepWorker(direct).take)
        await asyncio.to_thread(StepWorker(direct).answer, claim, "Hello")
        proxy.heal()
        assert await result == "Hello"


def test_without_a_time_out_an_outage_has_an_end(
    own_server: EmbeddedServer, direct: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnstile.producers.reading.readers.OUTAGE_SECONDS", 0.3)
    turn = ChatClient(settings=direct).ask("foo", "hello")
    own_server.stop()
    with pytest.raises(QueueUnreachable, match="does not answer"):
        turn.result()


def test_an_erased_turn_ends_the_wait(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnstile.producers.reading.blocking.LONGEST_BLOCK_SECONDS", 0.2)
    client = ChatClient(settings=settings)
    turn = client.ask("foo", "hello")
    with ThreadPoolExecutor(1) as threads:
        result = threads.submit(turn.result, PATIENCE)
        claim = StepWorker(settings).take()
        assert claim.id == turn.id
        client.erase("foo")
        with pytest.raises(UnknownTurn):
            result.result()


async def test_an_erased_turn_ends_the_wait_awaited(settings: Settings, no_polls: None) -> None:
    async with AsyncChatClient(settings=settings) as client:
        turn = await client.ask("foo", "hello")
        results = [asyncio.create_task(turn.result(PATIENCE)) for _ in range(2)]
        await wait_until_async(lambda: _subscribed(client, turn.id), "the readers wait")
        await client.erase("foo")
        for result in results:
            with pytest.raises(UnknownTurn):
                await result


async def _subscribed(client: AsyncChatClient, id: str) -> bool:
    [(_, count)] = await client.store.client.pubsub_numsub(client.store.keys.wake(id))
    return bool(count)


async def test_many_readers_share_one_subscribed_connection(settings: Settings, no_polls: None) -> None:
    async with AsyncChatClient(settings=settings) as client:
        turns = [await client.ask(f"s{number}", "hello") for number in range(150)]
        results = [asyncio.create_task(turn.result(PATIENCE)) for turn in turns for _ in range(2)]
        await wait_until_async(lambda: _subscribed(client, turns[-1].id), "the readers wait")
        ours = [name for name in await _pubsub_connections(client) if name["db"] == settings.redis_url.rpartition("/")[2]]
        assert len(ours) == 1
        worker = StepWorker(settings)
        for _ in turns:
            claim = await asyncio.to_thread(worker.take)
            await asyncio.to_thread(worker.answer, claim, claim.session)
        assert await asyncio.gather(*results) == [f"s{number}" for number in range(150) for _ in range(2)]
        await wait_until_async(lambda: _forgotten(client, turns[-1].id), "nobody is subscribed any more")


async def _pubsub_connections(client: AsyncChatClient) -> list[dict[str, str]]:
    found: list[dict[str, str]] = await client.store.client.client_list(_type="pubsub")
    return found


async def _forgotten(client: AsyncChatClient, id: str) -> bool:
    return not await _subscribed(client, id)


async def test_a_closed_watch_opens_again_for_the_next_reader(settings: Settings, no_polls: None) -> None:
    for _ in range(2):
        async with AsyncChatClient(settings=settings) as client:
            turn = await client.ask("foo", "hello")
            result = asyncio.create_task(turn.result(PATIENCE))
            await wait_until_async(lambda: _subscribed(client, turn.id), "the reader waits")  # noqa: B023 - awaited here
            claim = await asyncio.to_thread(StepWorker(settings).take)
            await asyncio.to_thread(StepWorker(settings).answer, claim, "Hello")
            assert await result == "Hello"


async def test_a_reader_that_is_left_lets_go_of_its_subscription(settings: Settings) -> None:
    async with AsyncChatClient(settings=settings) as client:
        turn = await client.ask("foo", "hello")
        result = asyncio.create_task(turn.result(PATIENCE))
        await wait_until_async(lambda: _subscribed(client, turn.id), "the reader waits")
        result.cancel()
        with pytest.raises(asyncio.CancelledError):
            await result
        await wait_until_async(lambda: _forgotten(client, turn.id), "the subscription is gone")


def test_threads_that_wait_do_not_starve_those_that_ask(settings: Settings) -> None:
    client = ChatClient(settings=settings)
    most = client.store.client.connection_pool.max_connections
    turn = client.ask("foo", "hello")
    with ThreadPoolExecutor(most + 6) as threads:
        results = [threads.submit(turn.result, PATIENCE) for _ in range(most + 6)]
        claim = StepWorker(settings).take()
        wait_until(lambda: _blocked(client) >= most + 6, "all are waiting")
        assert client.ask("bar", "hello").status().place == 0
        StepWorker(settings).answer(claim, "Hello")
        assert {result.result() for result in results} == {"Hello"}


def _blocked(client: ChatClient) -> int:
    listed: list[dict[str, str]] = client.store.client.client_list()
    return sum("xread" in item["cmd"] for item in listed)
