"""Which server, and how its address is read."""

import asyncio
import fcntl
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from turnstile.deploy.local.ports import HOST
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.turns.errors import QueueUnreachable, SettingError
from turnstile.turns.redis.connection import (
    DEFAULT_URL,
    close_async,
    connect,
    connect_async,
    server_url,
)
from turnstile.turns.redis.local_server import LOCK_FILE, RUNTIME_FILE, data_folder
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import AsyncTurnStore, TurnStore


def test_sentinels_are_asked_for_the_master() -> None:
    pool = connect("sentinel://u:p@127.0.0.1:1/4?master=m").connection_pool
    assert isinstance(pool, redis.sentinel.SentinelConnectionPool)
    assert pool.service_name == "m"
    assert {"db": 4, "username": "u", "password": "p"}.items() <= pool.connection_kwargs.items()


_CROWD = 120
_BEHIND_SENTINEL = "sentinel://127.0.0.1:1/0?master=crowded"


def test_threads_beyond_the_pool_behind_sentinel_wait(server: EmbeddedServer) -> None:
    connect.cache_clear()
    client = connect(_BEHIND_SENTINEL)
    client.connection_pool.sentinel_manager.discover_master = lambda _: (HOST, server.port)  # type: ignore[attr-defined]  # of its class
    with ThreadPoolExecutor(_CROWD) as crowd:
        assert set(crowd.map(lambda number: client.blpop([f"nothing-{number}"], 0.3), range(_CROWD))) == {None}
    client.connection_pool.disconnect()
    connect.cache_clear()


async def test_tasks_beyond_the_pool_behind_sentinel_wait(server: EmbeddedServer) -> None:
    async def discover_master(_: str) -> tuple[str, int]:
        return HOST, server.port

    client = connect_async(_BEHIND_SENTINEL)
    client.connection_pool.sentinel_manager.discover_master = discover_master  # type: ignore[attr-defined]  # of its class
    waiting = (client.blpop([f"nothing-{number}"], 0.3) for number in range(_CROWD))
    assert set(await asyncio.gather(*waiting)) == {None}
    await close_async(_BEHIND_SENTINEL)


async def test_a_server_that_takes_no_more_connections_is_told_by_name_at_the_first_try(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path, append_only=False) as server, redis.Redis.from_url(server.url) as admin:
        admin.config_set("maxclients", admin.info("clients")["connected_clients"])
        settings = Settings(redis_url=server.url)
        with pytest.raises(QueueUnreachable, match="takes no more connections: raise its maxclients"):
            TurnStore(settings).ping()
        with pytest.raises(QueueUnreachable, match="takes no more connections: raise its maxclients"):
            await AsyncTurnStore(settings).ping()
        assert admin.info("stats")["rejected_connections"] <= 2
        await close_async(server.url)


@pytest.fixture
def listener() -> Iterator[int]:
    """Yield a port that somebody answers on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@contextmanager
def _running(folder: Path, url: str) -> Iterator[Settings]:
    """Yield a folder as it is while `turnstile up` runs."""
    with (folder / LOCK_FILE).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (folder / RUNTIME_FILE).write_text(f"{url}\n")
        yield Settings(data_dir=str(folder))


def test_the_server_that_is_set_comes_first(tmp_path: Path, listener: int) -> None:
    with _running(tmp_path, f"redis://127.0.0.1:{listener}/0") as running:
        assert server_url(running.model_copy(update={"redis_url": "redis://set/1"})) == "redis://set/1"


def test_then_the_one_that_runs(tmp_path: Path, listener: int) -> None:
    url = f"redis://127.0.0.1:{listener}/0"
    with _running(tmp_path, url) as running:
        assert server_url(running) == url


def test_whoever_listens_on_the_port_of_a_server_that_was_killed_is_sent_no_password(tmp_path: Path, listener: int) -> None:
    with _running(tmp_path, f"redis://:secret@127.0.0.1:{listener}/0") as running:
        assert "secret" in server_url(running)
    assert (tmp_path / RUNTIME_FILE).exists()
    assert server_url(running) == DEFAULT_URL


def test_then_localhost_s(tmp_path: Path) -> None:
    assert server_url(Settings(data_dir=str(tmp_path))) == DEFAULT_URL


def test_a_server_that_has_gone_does_not_count(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for url in (f"redis://127.0.0.1:{port}/0", "no url at all"):
        with _running(tmp_path, url) as running:
            assert server_url(running) == DEFAULT_URL


def test_a_bad_address_is_told_at_once() -> None:
    with pytest.raises(SettingError, match=r"^REDIS_URL is not valid"):
        Settings(redis_url="http://h")
    for face in (TurnStore, AsyncTurnStore):
        with pytest.raises(SettingError, match=r"^REDIS_URL is not valid"):
            face(Settings(), "redis://h:port")


@pytest.mark.parametrize("url", ["redis://h", "rediss://h:1/2", "unix:///run/redis.sock", "sentinel://h,i/0?master=m"])
def test_schemes_that_we_speak(url: str) -> None:
    assert server_url(Settings(redis_url=url)) == url
    assert connect(url) is connect(url)


def test_the_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert data_folder(Settings()) == tmp_path / ".local" / "share" / "turnstile"
    assert data_folder(Settings(xdg_data_home="/x")) == Path("/x/turnstile")
    assert data_folder(Settings(data_dir="~/here", xdg_data_home="/x")) == tmp_path / "here"
    monkeypatch.setattr("sys.platform", "darwin")
    assert data_folder(Settings()) == tmp_path / "Library" / "Application Support" / "turnstile"


@pytest.fixture
def closed_port() -> int:
    """Return a port that nobody answers on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@pytest.mark.parametrize("form", ["redis://u:secret@{}/0", "redis://{}/0?password=secret", "redis://:se%40cret@{}"])
def test_nobody_answers(closed_port: int, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnstile.turns.redis.connection._retry", _never)
    where = f"127.0.0.1:{closed_port}"
    with pytest.raises(QueueUnreachable, match=f"Redis at {where}.* does not answer") as caught:
        TurnStore(Settings(redis_url=form.format(where))).status("a")
    assert "cret" not in str(caught.value)


def _never(kind: type = redis.retry.Retry) -> object:
    return kind(redis.backoff.NoBackoff(), 0)


def test_each_loop_has_its_own_client(redis_url: str) -> None:
    async def use() -> int:
        client = connect_async(redis_url)
        assert client is connect_async(redis_url)
        await client.ping()
        await close_async(redis_url)
        await close_async(redis_url)
        assert client is not connect_async(redis_url)
        return id(client)

    asyncio.run(use())
    asyncio.run(use())


def test_both_faces_speak_of_the_same_server(redis_url: str) -> None:
    settings = Settings(redis_url=redis_url)
    assert TurnStore(settings).url == AsyncTurnStore(settings).url == redis_url
    assert TurnStore(settings, "redis://other").url == "redis://other"
