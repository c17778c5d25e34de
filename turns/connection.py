"""How this process reaches Redis: one shared pool for each URL, with time-outs on everything.

URLs: `redis://`, `rediss://` and `unix://` as redis-py reads them, and
`sentinel://[user:password@]host[:port][,host[:port]…][/db][?master=name]`.
"""

import asyncio
import socket
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit
from weakref import WeakKeyDictionary

import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.retry import Retry

from turns.errors import SettingError
from turns.multiplexer import Multiplexer
from turns.settings import Settings
from turns.sockets import mended

RUNTIME_FILE = "redis.url"
DEFAULT_URL = "redis://localhost:6379/0"
SCHEMES = ("redis", "rediss", "unix", "sentinel")

SOCKET_OPTIONS: dict[str, Any] = {
    "socket_timeout": 10,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 15,
}
# A blocking read must end before the socket's time-out, or it looks like a dead server.
LONGEST_BLOCK_SECONDS = 4.0
_CALL_SECONDS = 5.0
_PROBE_SECONDS = 0.5
_POOL = {"max_connections": 64, "timeout": 30}
_TCP_ONLY = ("socket_keepalive",)


@dataclass(frozen=True, slots=True)
class SentinelAddress:
    """A `sentinel://` URL, taken apart."""

    hosts: tuple[tuple[str, int], ...]
    master: str
    db: int
    username: str | None
    password: str | None

    @classmethod
    def parse(cls, url: str) -> "SentinelAddress":
        """Raises SettingError when a part has the wrong form."""
        try:
            parts = urlsplit(url)
            credentials, _, hosts = parts.netloc.rpartition("@")
            username, _, password = credentials.partition(":")
            return cls(
                hosts=tuple(_host(host) for host in hosts.split(",")),
                master=parse_qs(parts.query).get("master", ["mymaster"])[0],
                db=int(parts.path.strip("/") or 0),
                username=unquote(username) or None,
                password=unquote(password) or None,
            )
        except ValueError:
            raise SettingError("REDIS_URL is not valid: write sentinel://host:26379,host:26379/0?master=mymaster.") from None

    def credentials(self) -> dict[str, Any]:
        """The arguments that name the database and who asks."""
        return {"db": self.db, "username": self.username, "password": self.password}


def _host(text: str) -> tuple[str, int]:
    name, _, port = text.partition(":")
    if not name:
        raise ValueError(text)
    return name, int(port or 26379)


def data_folder(settings: Settings) -> Path:
    """Where the embedded server keeps its data and `turnstile up` says how to reach it."""
    if settings.data_dir:
        return Path(settings.data_dir).expanduser()
    home = Path.home()
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "turnstile"
    return Path(settings.xdg_data_home or home / ".local" / "share") / "turnstile"


def server_url(settings: Settings) -> str:
    """The server to use: the one that is set, else the one `turnstile up` runs, else localhost's.

    Raises:
        SettingError: the URL's scheme is none that we speak.
    """
    url = settings.redis_url or _running_url(data_folder(settings) / RUNTIME_FILE) or DEFAULT_URL
    scheme, mark, _ = url.partition("://")
    if not mark or scheme not in SCHEMES:
        raise SettingError(f"REDIS_URL is not valid: it must start with one of {', '.join(SCHEMES)} and ://.")
    return url


def _running_url(file: Path) -> str:
    """What `turnstile up` left in the file, unless it left without tidying up and nobody answers there."""
    try:
        url = file.read_text().strip()
        parts = urlsplit(url)
        with socket.create_connection((parts.hostname or "", parts.port or 0), _PROBE_SECONDS):
            return url
    except (OSError, ValueError):
        return ""


def _retry(kind: Any = Retry) -> Any:
    return kind(ExponentialWithJitterBackoff(base=0.05, cap=1.0), retries=6)


def sentinel_options(kind: Any = Retry) -> dict[str, Any]:
    """How a sentinel is asked: when it is silent the next one is, soon; the call as a whole is tried again."""
    return {"socket_timeout": 1, "socket_connect_timeout": 1, "retry": kind(NoBackoff(), 0)}


def _socket_options(url: str) -> dict[str, Any]:
    local = url.startswith("unix:")
    return {name: value for name, value in SOCKET_OPTIONS.items() if not (local and name in _TCP_ONLY)}


def _pool(kind: Any, url: str, options: dict[str, Any]) -> Any:
    try:
        return kind.from_url(url, **_POOL, **options)
    except ValueError:
        raise SettingError("REDIS_URL is not valid: write redis://[user:password@]host[:port][/db].") from None


class _SentinelPool(redis.sentinel.SentinelConnectionPool, redis.BlockingConnectionPool):
    """redis-py's own raises when all its connections are in use; this one waits."""


class _AsyncSentinelPool(redis.asyncio.sentinel.SentinelConnectionPool, redis.asyncio.BlockingConnectionPool):
    """As above."""


@cache
def connect(url: str) -> redis.Redis:
    """A thread-safe client on the process's shared pool for this URL; replies are bytes.

    Threads beyond the pool's size wait for a connection; redis-py's own pool would raise.
    """
    options = {**_socket_options(url), "socket_timeout": _CALL_SECONDS, "retry": _retry()}
    if not url.startswith("sentinel:"):
        return redis.Redis(connection_pool=_pool(redis.BlockingConnectionPool, url, options))
    address = SentinelAddress.parse(url)
    sentinel = redis.sentinel.Sentinel(address.hosts, sentinel_kwargs=sentinel_options())  # type: ignore[no-untyped-call]  # untyped
    options |= {**_POOL, "connection_pool_class": _SentinelPool}
    return sentinel.master_for(address.master, **address.credentials(), **options)  # type: ignore[no-any-return, no-untyped-call]  # untyped in redis-py


_reached: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, tuple[redis.asyncio.Redis, Multiplexer]]] = WeakKeyDictionary()


def connect_async(url: str) -> redis.asyncio.Redis:
    """The running loop's client for this URL, on a pool of its own; replies are bytes."""
    return _reach(url)[0]


def multiplexer(url: str) -> Multiplexer:
    """The running loop's multiplexer for this URL."""
    return _reach(url)[1]


def _reach(url: str) -> tuple[redis.asyncio.Redis, Multiplexer]:
    servers = _reached.setdefault(asyncio.get_running_loop(), {})
    if url not in servers:
        client = _new_async(url)
        kind = cast("type", client.connection_pool.connection_class)
        client.connection_pool.connection_class = mended(kind)
        servers[url] = client, Multiplexer(client.connection_pool)
    return servers[url]


async def close_async(url: str) -> None:
    """Close the running loop's connections to this URL."""
    client, multiplexer = _reached.get(asyncio.get_running_loop(), {}).pop(url, (None, None))
    if multiplexer is not None:
        await multiplexer.close()
    if client is not None:
        await client.aclose()
        await client.connection_pool.disconnect()
        manager = getattr(client.connection_pool, "sentinel_manager", None)
        for sentinel in manager.sentinels if manager else ():
            await sentinel.aclose()


def _new_async(url: str) -> redis.asyncio.Redis:
    options = {**_socket_options(url), "retry": _retry(redis.asyncio.retry.Retry)}
    if not url.startswith("sentinel:"):
        return redis.asyncio.Redis(connection_pool=_pool(redis.asyncio.BlockingConnectionPool, url, options))
    address = SentinelAddress.parse(url)
    asking = sentinel_options(redis.asyncio.retry.Retry)
    sentinel = redis.asyncio.sentinel.Sentinel(address.hosts, sentinel_kwargs=asking)  # type: ignore[no-untyped-call]  # untyped
    options |= {**_POOL, "connection_pool_class": _AsyncSentinelPool}
    return sentinel.master_for(address.master, **address.credentials(), **options)  # type: ignore[no-any-return]  # untyped in redis-py
