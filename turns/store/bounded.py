"""A blocking store whose every call is bounded; each thread has a connection of its own.

So no thread waits for the shared pool or takes its connections, and a silent connection costs no more time than the thread has.
"""

import os
import threading
from typing import Any

from redis.backoff import NoBackoff
from redis.connection import Connection
from redis.exceptions import ResponseError
from redis.retry import Retry

from turnstile.turns.redis.script_arguments import Word
from turnstile.turns.redis.single import open_beside
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore

_GRACE_SECONDS = 0.25
_NEW: dict[str, Any] = {"health_check_interval": 0, "retry": Retry(NoBackoff(), 0)}


class _Own(threading.local):
    connection: Connection | None = None
    seconds: float = 0.0


class BoundedStore(TurnStore):
    """A TurnStore whose calls take no longer than the calling thread allows, and are never repeated."""

    def __init__(self, settings: Settings, url: str | None = None) -> None:
        super().__init__(settings, url)
        self._own = _Own()

    def within(self, seconds: float) -> "BoundedStore":
        """Bound this thread's next calls; a blocking read gets a moment more for its reply."""
        self._own.seconds = seconds + _GRACE_SECONDS
        return self

    def close(self) -> None:
        """Close this thread's connection; the next call opens it again."""
        if self._own.connection is not None:
            self._own.connection.disconnect()  # type: ignore[no-untyped-call]  # untyped in redis-py

    def _send(self, *command: Word) -> Any:
        connection = self._connection()
        seconds = self._own.seconds
        connection.socket_timeout = connection.socket_connect_timeout = seconds
        try:
            connection.connect()  # type: ignore[no-untyped-call]  # untyped in redis-py
            connection.send_command(*command)  # type: ignore[no-untyped-call]  # untyped in redis-py
            return connection.read_response(timeout=seconds)
        except BaseException as error:
            # After Ctrl-C between command and reply, the reply must not be taken for the next command's.
            if not isinstance(error, ResponseError):
                self.close()
            raise

    def _connection(self) -> Connection:
        connection = self._own.connection
        # A forked child must not use its parent's socket.
        if connection is None or connection.pid != os.getpid():
            connection = self._own.connection = open_beside(self.client.connection_pool, **_NEW)
        return connection
