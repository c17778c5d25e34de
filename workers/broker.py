"""Celery's own connection to Redis, made to bear a full memory, and to come back soon after an outage."""

from contextlib import suppress
from typing import Any, Self

import kombu
from celery.app.amqp import AMQP
from kombu.transport import redis
from redis.exceptions import OutOfMemoryError

_Channel: Any = redis.Channel  # its stubs leave out what transports override
_bind = _Channel._queue_bind


class _Connection(kombu.Connection):
    def ensure_connection(self, *args: Any, **options: Any) -> Self:
        # Celery asks for no pace, and kombu's own grows to 30 s: a worker would sleep on long after Redis is back.
        pace = {"interval_start": 0.2, "interval_step": 0.2, "interval_max": 1}
        super().ensure_connection(*args, **{**pace, **options})
        return self


class EagerAMQP(AMQP):
    """Celery's messaging, over connections that are tried again every second at least."""

    Connection = _Connection


def _bind_if_there_is_room(channel: Any, *names: Any) -> None:
    # Which queue an exchange leads to is for publishers that name an exchange; ours name the queue. A worker that did not
    # start for want of it would finish nothing, and so memory would stay full.
    with suppress(OutOfMemoryError):
        _bind(channel, *names)


def bear_full_memory() -> None:
    """Let workers consume while Redis is over its `maxmemory`, also those that start then."""
    _Channel._queue_bind = _bind_if_there_is_room
