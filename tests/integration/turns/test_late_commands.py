"""Commands that were sent again since their connection fell silent: the first copies never run, however late they come."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.chaos.proxy import FaultProxy, ProxyThread
from tests.support.wait import wait_until
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.turns.errors import QueueUnreachable, UnknownTurn
from turnstile.turns.redis import fence, silence
from turnstile.turns.redis.connection import close_async
from turnstile.turns.redis.script_arguments import Word
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.bounded import BoundedStore
from turnstile.turns.store.turns import AsyncTurnStore, TurnStore

SILENT_SECONDS = 1.0

Call = Callable[..., Any]
"""Makes a call of a store, by its name."""


def _blocking(url: str) -> Iterator[Call]:
    store = TurnStore(Settings(redis_url=url))
    store.client.connection_pool.connection_kwargs["socket_timeout"] = SILENT_SECONDS
    yield lambda name, *args, **more: getattr(store, name)(*args, **more)


def _bounded(url: str) -> Iterator[Call]:
    """Calls that are never repeated, by a caller who asks until there is an answer."""
    store = BoundedStore(Settings(redis_url=url))

    def call(name: str, *args: Any, **more: Any) -> Any:
        while True:
            with suppress(QueueUnreachable):
                return getattr(store.within(SILENT_SECONDS), name)(*args, **more)

    yield call
    store.close()


class _Pooled(AsyncTurnStore):
    """Makes all its calls over connections of redis-py's pool, as those that wait at the server are made."""

    def _send(self, *command: Word) -> Awaitable[Any]:
        self.client.connection_pool.connection_kwargs["socket_timeout"] = SILENT_SECONDS
        return self._send_alone(*command)


def _awaited(url: str, kind: type[AsyncTurnStore] = AsyncTurnStore) -> Iterator[Call]:
    store = kind(Settings(redis_url=url))

    async def call(name: str, *args: Any, **more: Any) -> Any:
        return await getattr(store, name)(*args, **more)

    with asyncio.Runner() as runner:
        yield lambda name, *args, **more: runner.run(call(name, *args, **more))
        runner.run(close_async(url))


def _pooled(url: str) -> Iterator[Call]:
    return _awaited(url, _Pooled)


@pytest.fixture(params=[_blocking, _bounded, _awaited, _pooled])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Iterator[Call]]:
    """Return a way to make calls."""
    monkeypatch.setattr(silence, "SILENT_SECONDS", SILENT_SECONDS)
    found: Callable[[str], Iterator[Call]] = request.param
    return found


@pytest.fixture
def call(kind: Callable[[str], Iterator[Call]], proxied: str) -> Iterator[Call]:
    """Yield calls over a connection that stands, through the proxy."""
    for made in kind(proxied):
        made("now")
        yield made


@pytest.fixture
def proxied(proxy: FaultProxy, redis_url: str) -> str:
    """Return the test's database by way of the proxy."""
    return f"redis://127.0.0.1:{proxy.port}/{redis_url.rpartition('/')[2]}"


class Held:
    """The connections that a proxy has now carry nothing, until they `go_on`; new ones do."""

    def __init__(self, proxy: FaultProxy, server: redis.Redis) -> None:
        self._proxy, self._server = proxy, server
        self._links = proxy.links()
        assert self._links
        for link in self._links:
            proxy.do(link.hold)

    def go_on(self) -> None:
        """Carry all that was kept, and wait until the server has done with it."""
        for link in self._links:
            self._proxy.do(link.go_on)
        ports = {str(link.port) for link in self._links}
        wait_until(lambda: not ports & self._ports(), "the connections have ended")

    def _ports(self) -> set[str]:
        return {one["addr"].rpartition(":")[2] for one in self._server.client_list()}


def test_a_late_erase_spares_what_was_accepted_after_it(
    call: Call, proxy: FaultProxy, store: TurnStore, client: redis.Redis
) -> None:
    store.erase("other")  # so that the server knows the script
    store.submit("t1", "foo", "one")
    held = Held(proxy, client)
    call("erase", "foo")
    store.submit("t2", "foo", "two")
    held.go_on()
    assert store.status("t2").state is State.QUEUED
    with pytest.raises(UnknownTurn):
        store.status("t1")


def test_a_late_question_does_not_undo_an_erase(call: Call, proxy: FaultProxy, store: TurnStore, client: redis.Redis) -> None:
    store.submit("t0", "other", "so that the server knows the script")
    held = Held(proxy, client)
    call("submit", "t1", "foo", "one")
    assert store.erase("foo") == (1, 0)
    held.go_on()
    with pytest.raises(UnknownTurn):
        store.status("t1")


def test_a_late_schedule_stays_removed(call: Call, proxy: FaultProxy, store: TurnStore, client: redis.Redis) -> None:
    store.schedule("s0", "other", "hello", cron="0 9 * * *", now=store.now())
    held = Held(proxy, client)
    call("schedule", "s1", "foo", "hello", cron="0 9 * * *", now=store.now())
    assert store.remove_schedule("s1")
    held.go_on()
    assert store.read_schedule("s1") is None


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[EmbeddedServer, EmbeddedServer]]:
    """Yield two servers, as before and after a failover."""
    with EmbeddedServer(tmp_path / "one", append_only=False) as one, EmbeddedServer(tmp_path / "two", append_only=False) as two:
        yield one, two


def test_at_another_server_a_stranger_of_the_same_id_is_spared(
    kind: Callable[[str], Iterator[Call]], servers: tuple[EmbeddedServer, EmbeddedServer], proxies: ProxyThread
) -> None:
    before, after = servers
    proxy = proxies.open(before.port)
    with redis.Redis.from_url(before.url, decode_responses=True) as first, redis.Redis(port=after.port) as stranger:
        while first.client_id() < 50:
            first.connection_pool.disconnect()
        for call in kind(f"redis://127.0.0.1:{proxy.port}/0"):
            call("now")
            [link] = proxy.links()
            [ours] = [one["id"] for one in first.client_list() if one["addr"].endswith(f":{link.port}")]
            while (met := stranger.client_id()) < int(ours):
                stranger.connection_pool.disconnect()
            assert met == int(ours)
            proxy.target = after.port
            proxy.cut()
            call("now")
        assert stranger.client_id() == met


def test_a_user_without_the_rights_goes_on_and_is_told_once(
    kind: Callable[[str], Iterator[Call]],
    proxied: str,
    proxy: FaultProxy,
    client: redis.Redis,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fence._warn.cache_clear()
    client.execute_command("ACL", "SETUSER", "few", "reset", "on", ">word", "~*", "&*", "+@all", "-client")  # type: ignore[no-untyped-call]  # untyped
    with caplog.at_level(logging.WARNING, fence.__name__):
        for call in kind(proxied.replace("://", "://few:word@")):
            for _ in range(3):
                call("submit", "t1", "foo", "one")
                proxy.cut()
            assert call("status", "t1").state is State.QUEUED
    client.acl_deluser("few")
    assert [record.message.count("+client|info +client|kill") for record in caplog.records] == [1]
