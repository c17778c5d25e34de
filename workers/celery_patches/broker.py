"""Celery's own connections to Redis, made to outlive a full memory, refusals, and the loss of any one of them.

Parts of kombu's Redis transport are replaced: `Channel._get_client`, `_queue_bind`, `_brpop_start`, `_brpop_read`,
`_receive_one`, and `MultiChannelPoller.get`.
"""

import socket
from contextlib import suppress
from functools import partial
from queue import Empty
from time import monotonic
from typing import Any, Protocol, Self

import kombu
from celery.app.amqp import AMQP
from kombu.common import ignore_errors
from kombu.transport import redis
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError

# The kernel gives up a peer whose machine is gone after 10 + 3 * 2 s. macOS has other names.
_KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3}

# No `retry_on_timeout`: with it, the thread that must consume would read a lost subscription forever.
# A silent BRPOP is given up after 5 to 9 s, a silent subscription after 12.
TRANSPORT_OPTIONS: dict[str, Any] = {
    "socket_timeout": 5,
    "socket_keepalive_options": {getattr(socket, name): value for name, value in _KEEPALIVE.items() if hasattr(socket, name)},
    "health_check_interval": 4,
}

_Channel: Any = redis.Channel  # its stubs leave out what transports override
_Poller: Any = redis.MultiChannelPoller
_PrefixedClient: Any = redis.PrefixedStrictRedis
_bind, _start, _read, _get = _Channel._queue_bind, _Channel._brpop_start, _Channel._brpop_read, _Poller.get
_receive = _Channel._receive_one


class Listener(Protocol):
    """A listener to the fetching of tasks."""

    def answered(self) -> None:
        """Note that Redis has answered: with a task, or that there is none."""

    def refused(self, error: Exception) -> float:
        """Note that Redis has refused; return the seconds to wait before the next try."""


class BrokerConnection(kombu.Connection):
    """A connection that is retried at least every second, and reports its fetching to its `listener`."""

    listener: Listener | None = None

    def ensure_connection(self, *args: Any, **options: Any) -> Self:
        """Connect as kombu does, but try every second: at its 30 s, a worker would sleep on after Redis is back."""
        pace = {"interval_start": 0.2, "interval_step": 0.2, "interval_max": 1}
        super().ensure_connection(*args, **{**pace, **options})
        return self


class EagerAMQP(AMQP):
    """Celery's messaging over such connections."""

    Connection = BrokerConnection


class _Client(_PrefixedClient):  # type: ignore[misc]  # see above
    """A client whose pipelines are no transactions: while memory is full, Redis 7.0 refuses every command within one."""

    def pipeline(self, transaction: bool = False, shard_hint: Any = None) -> Any:
        """Return a pipeline of single commands, unless a transaction is wanted."""
        return super().pipeline(transaction, shard_hint)


def _without_transactions(channel: Any) -> Any:
    return partial(_Client, global_keyprefix=channel.global_keyprefix)


def _bind_if_there_is_room(channel: Any, *names: Any) -> None:
    # Bindings of exchanges are for publishers that name an exchange; ours name the queue. A worker that could not start for
    # want of them would finish nothing, and memory would stay full.
    with suppress(OutOfMemoryError):
        _bind(channel, *names)


def _start_after_rest(channel: Any, timeout: float | None = None) -> None:
    if monotonic() >= getattr(channel, "rest_until", 0.0):
        _start(channel, timeout)


def _read_or_rest(channel: Any, **options: Any) -> Any:
    listener = getattr(channel.connection.client, "listener", None)
    try:
        found = _read(channel, **options)
    except Empty:
        if listener:
            listener.answered()
        raise
    except ReadOnlyError:
        # This server is no longer a primary: every connection must move.
        raise
    except ResponseError as error:
        if not listener:
            raise
        channel.rest_until = monotonic() + listener.refused(error)
        # The next connection may lead to another server: it asks Sentinel, or resolves the name, again.
        channel.client.connection.disconnect()
        raise Empty from None
    if listener:
        listener.answered()
    return found


class _InTime:
    """A subscription that counts as lost when a message does not arrive whole in time; kombu would wait forever."""

    def __init__(self, subscription: Any) -> None:
        self._subscription = subscription

    def __getattr__(self, name: str) -> Any:
        return getattr(self._subscription, name)

    def parse_response(self) -> Any:
        """Read the bytes that have arrived."""
        return self._subscription.parse_response(block=False, timeout=TRANSPORT_OPTIONS["socket_timeout"])


def _receive_in_time(channel: Any, subscription: Any) -> Any:
    return _receive(channel, _InTime(subscription))


def _get_and_check(poller: Any, callback: Any, timeout: float | None = None) -> Any:
    # Flower receives events without an event loop, where kombu never notices a lost subscription.
    if monotonic() >= getattr(poller, "check_at", 0.0):
        poller.check_at = monotonic() + TRANSPORT_OPTIONS["health_check_interval"]
        poller.maybe_check_subclient_health()
    return _get(poller, callback, timeout)


def put_back(channel: Any) -> None:
    """Let a channel whose consumers are cancelled put back what Redis still hands out to its last BRPOP.

    kombu reads that answer when it closes the connection, which is after the grace of turns that run.
    """
    if channel._in_poll:
        with suppress(Empty):
            ignore_errors(channel.connection.client, channel._brpop_read)


def mend_transport() -> None:
    """Install these replacements for every connection of this process."""
    _Channel._get_client = _without_transactions
    _Channel._queue_bind = _bind_if_there_is_room
    _Channel._brpop_start = _start_after_rest
    _Channel._brpop_read = _read_or_rest
    _Channel._receive_one = _receive_in_time
    _Poller.get = _get_and_check
