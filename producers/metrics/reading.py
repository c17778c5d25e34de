"""Readings of a deployment: at most one a second, however many ask."""

import threading
from collections.abc import Callable
from time import monotonic
from typing import Generic, TypeVar

from turnstile.producers.metrics.exposition import exposition
from turnstile.producers.metrics.snapshot import Snapshot
from turnstile.turns.errors import TurnstileError
from turnstile.turns.settings import Settings
from turnstile.turns.store.bounded import BoundedStore

T = TypeVar("T")

_FRESH_SECONDS = 1.0
_REDIS_SECONDS = 3.0


class Reading(Generic[T]):
    """A value that `read` finds in Redis, for any thread. A silent Redis costs a reader some seconds, and is told."""

    def __init__(self, settings: Settings, read: Callable[[BoundedStore], T]) -> None:
        self._store, self._read = BoundedStore(settings), read
        self._lock = threading.Lock()
        self._found: T | TurnstileError
        self._read_at = -_FRESH_SECONDS

    def get(self) -> T:
        """Return what was found within the last second. Raises as `read` does."""
        with self._lock:
            if monotonic() - self._read_at >= _FRESH_SECONDS:
                self._found = self._look()
                self._read_at = monotonic()
            if isinstance(self._found, TurnstileError):
                raise self._found
            return self._found

    def _look(self) -> T | TurnstileError:
        try:
            return self._read(self._store.within(_REDIS_SECONDS))
        except TurnstileError as error:
            return error
        finally:
            self._store.close()


def metrics(settings: Settings) -> Reading[bytes]:
    """Return the reading of all metrics.

    Raises:
        MissingRight: when it is read, our Redis user lacks an operator's right; the message names it.
    """
    return Reading(settings, lambda store: exposition(Snapshot.take(store)))
