"""A subscription is there, or replaced: nobody but itself notices when it dies alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import redis

from tests.chaos.proxy import FaultProxy
from tests.integration.slow_to_end import SlowToEnd
from tests.support.wait import wait_until_async
from turnstile.producers.reading.wakeups import Wakeups
from turnstile.turns.redis import silence, subscription
from turnstile.turns.redis.connection import close_async, multiplexer
from turnstile.turns.redis.keys import Keys
from turnstile.turns.redis.multiplexer import Multiplexer
from turnstile.turns.redis.subscription import Subscription

CHANNEL, ANOTHER = "news", "more news"


class _Ears:
    def __init__(self, url: str) -> None:
        self.heard: list[bytes] = []
        self.subscription = Subscription(url, self._hear)
        self.subscription.add(CHANNEL)

    def _hear(self, kind: bytes, _: bytes, data: bytes) -> None:
        if kind == b"message":
            self.heard.append(data)


@pytest.fixture
def through(proxy: FaultProxy, redis_url: str) -> str:
    """Return the test's database by way of the proxy."""
    return f"redis://127.0.0.1:{proxy.port}/{redis_url.rpartition('/')[2]}"


@asynccontextmanager
async def _listening(url: str, client: redis.Redis) -> AsyncIterator[_Ears]:
    ears = _Ears(url)
    task = asyncio.create_task(ears.subscription.run())
    try:
        await _until_heard(ears, client, CHANNEL)
        yield ears
    finally:
        task.cancel()
        await asyncio.wait([task])
        await close_async(url)


async def _until_heard(ears: _Ears, client: redis.Redis, channel: str) -> None:
    """Publish until it is heard; a message has no second chance."""
    ears.heard.clear()

    async def heard() -> bool:
        await asyncio.to_thread(client.publish, channel, "hello")
        return bool(ears.heard)

    await wait_until_async(heard, "a message is heard")


async def _port(line: Multiplexer) -> int:
    info: bytes = await line.execute("CLIENT", "INFO")
    fields = dict(field.split("=", 1) for field in info.decode().split())
    return int(fields["addr"].rpartition(":")[2])


def _subscribed(client: redis.Redis, proxy: FaultProxy) -> list[int]:
    """Return the ports of the subscriptions behind the proxy."""
    ports = [int(known["addr"].rpartition(":")[2]) for known in client.client_list(_type="pubsub")]
    return [port for port in ports if proxy.link(port)]


async def test_one_that_dies_alone_is_replaced(
    proxy: FaultProxy, through: str, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "SILENT_SECONDS", 0.5)
    async with _listening(through, client) as ears:
        [port] = _subscribed(client, proxy)
        link = proxy.link(port)
        assert link
        proxy.do(link.close_at_server)
        await _until_heard(ears, client, CHANNEL)


async def test_one_that_is_quiet_is_kept(
    proxy: FaultProxy, through: str, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "SILENT_SECONDS", 0.5)
    async with _listening(through, client):
        before = _subscribed(client, proxy)
        # Longer than a silent connection is borne.
        await asyncio.sleep(2)
        assert _subscribed(client, proxy) == before


async def test_it_follows_where_other_calls_had_to_connect_anew(proxy: FaultProxy, through: str, client: redis.Redis) -> None:
    line = multiplexer(through)
    async with _listening(through, client) as ears:
        link = proxy.link(await _port(line))
        before = _subscribed(client, proxy)
        assert link
        proxy.do(link.cut)
        await wait_until_async(lambda: _answers(line), "calls are answered again")

        async def moved() -> bool:
            return bool(after := await asyncio.to_thread(_subscribed, client, proxy)) and not set(after) & set(before)

        await wait_until_async(moved, "the subscription has moved")
        await _until_heard(ears, client, CHANNEL)


async def _answers(line: Multiplexer) -> bool:
    return bool(await line.execute("PING"))


async def test_channels_come_and_go_while_it_stands(redis_url: str, client: redis.Redis) -> None:
    async with _listening(redis_url, client) as ears:
        ears.subscription.add(ANOTHER)
        await _until_heard(ears, client, ANOTHER)
        ears.subscription.remove(ANOTHER)

        async def left() -> bool:
            return dict(await asyncio.to_thread(client.pubsub_numsub, ANOTHER)) == {ANOTHER: 0}

        await wait_until_async(left, "nobody listens there any more")
        await _until_heard(ears, client, CHANNEL)


async def test_a_watch_is_closed_while_its_connection_breaks(
    proxy: FaultProxy, through: str, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = SlowToEnd()
    monkeypatch.setattr(subscription, "watch_for_silence", slow.watch)
    wakeups = Wakeups(through, Keys("turnstile:", "history:"))
    with wakeups.subscribe("a turn") as wakeup:
        # It rings once it is subscribed.
        await wakeup.wait(30)
        proxy.cut()
        await slow.ends_when(wakeups.close)
    await close_async(through)
