"""This process's connections to Redis: one shared pool for each URL, with time-outs on everything."""

import asyncio
from functools import cache
from typing import Any, cast
from weakref import WeakKeyDictionary

import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from turnstile.turns.redis.address import Address, parse
from turnstile.turns.redis.failures import is_outage
from turnstile.turns.redis.local_server import data_folder, running_url
from turnstile.turns.redis.multiplexer import Multiplexer
from turnstile.turns.redis.uvloop_sockets import following, mended
from turnstile.turns.settings import Settings

DEFAULT_URL = "redis://localhost:6379/0"

SOCKET_OPTIONS: dict[str, Any] = {
    "socket_timeout": 10,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 15,
}
# A blocking read must end before the socket's time-out, or it looks like a dead server.
LONGEST_BLOCK_SECONDS = 4.0
_CALL_SECONDS = 5.0
_POOL = {"max_connections": 64, "timeout": 30}
_TCP_ONLY = ("socket_keepalive",)


def server_url(settings: Settings) -> str:
    """Return the server to use: the one that is set, else the one `turnstile up` runs, else localhost's."""
    return settings.redis_url or running_url(data_folder(settings)) or DEFAULT_URL


class _Retry(Retry):
    """redis-py's, except that a refused login is not tried again."""

    def call_with_retry(self, do: Any, fail: Any, is_retryable: Any = None, with_failure_count: bool = False) -> Any:
        return super().call_with_retry(do, fail, is_retryable or is_outage, with_failure_count)


class _AsyncRetry(redis.asyncio.retry.Retry):
    """As above."""

    async def call_with_retry(self, do: Any, fail: Any, is_retryable: Any = None, with_failure_count: bool = False) -> Any:
        return await super().call_with_retry(do, fail, is_retryable or is_outage, with_failure_count)


def _retry(kind: Any = _Retry) -> Any:
    return kind(ExponentialWithJitterBackoff(base=0.05, cap=1.0), retries=6)


def sentinel_options(address: Address, kind: Any = Retry) -> dict[str, Any]:
    """Return the options of connections to Sentinels: after a silent one comes the next, soon; the whole call is repeated."""
    security = {"ssl": True, **address.security()} if address.tls else {}
    return {"socket_timeout": 1, "socket_connect_timeout": 1, "retry": kind(NoBackoff(), 0), **security}


def _connected(library: Any, address: Address, sentinel_pool: type, own: dict[str, Any]) -> Any:
    """Return a client of redis-py's sync or async face; both take the same arguments."""
    options = {**address.login(), **address.security(), **SOCKET_OPTIONS, **_POOL, **own}
    if address.master:
        asking = sentinel_options(address, type(own["retry"]))
        sentinel = library.sentinel.Sentinel(address.hosts, sentinel_kwargs=asking)
        return sentinel.master_for(address.master, ssl=bool(address.tls), connection_pool_class=sentinel_pool, **options)
    if address.hosts:
        host, port = address.hosts[0]
        kind = library.SSLConnection if address.tls else library.Connection
        options |= {"host": host, "port": port, "connection_class": kind}
    else:
        options = {name: value for name, value in options.items() if name not in _TCP_ONLY}
        options |= {"path": address.path, "connection_class": library.UnixDomainSocketConnection}
    return library.Redis(connection_pool=library.BlockingConnectionPool(**options))


class _SentinelPool(redis.sentinel.SentinelConnectionPool, redis.BlockingConnectionPool):
    """redis-py's own raises when all its connections are in use; this one waits."""


class _AsyncSentinelPool(redis.asyncio.sentinel.SentinelConnectionPool, redis.asyncio.BlockingConnectionPool):
    """As above."""


@cache
def connect(url: str) -> redis.Redis:
    """Return a thread-safe client on the process's shared pool for this URL; replies are bytes.

    Threads beyond the pool's size wait for a connection; redis-py's own pool would raise.
    """
    own = {
        "socket_timeout": _CALL_SECONDS,
        "retry": _retry(),
        # Its handlers and their connection hold each other: a dropped connection would stay open until a garbage collection.
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    client = cast("redis.Redis", _connected(redis, parse(url), _SentinelPool, own))
    client.connection_pool.connection_class = following(cast("type", client.connection_pool.connection_class))
    return client


_reached: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, tuple[redis.asyncio.Redis, Multiplexer]]] = WeakKeyDictionary()


def connect_async(url: str) -> redis.asyncio.Redis:
    """Return the running loop's client for this URL, on a pool of its own; replies are bytes."""
    return _reach(url)[0]


def multiplexer(url: str) -> Multiplexer:
    """Return the running loop's multiplexer for this URL."""
    return _reach(url)[1]


def _reach(url: str) -> tuple[redis.asyncio.Redis, Multiplexer]:
    servers = _reached.setdefault(asyncio.get_running_loop(), {})
    if url not in servers:
        own = {"retry": _retry(_AsyncRetry)}
        client = _connected(redis.asyncio, parse(url), _AsyncSentinelPool, own)
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
