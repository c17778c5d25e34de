"""Scrapes: texts of all metrics, at most one a second, however many ask."""

import threading
from time import monotonic

from turnstile.producers.metrics.exposition import exposition
from turnstile.producers.metrics.snapshot import Snapshot
from turnstile.turns.settings import Settings
from turnstile.turns.store.bounded import BoundedStore

_FRESH_SECONDS = 1.0
_REDIS_SECONDS = 3.0


class Scraper:
    """A reader of metrics, for any thread. A Redis that is silent costs a scrape some seconds, and is told."""

    def __init__(self, settings: Settings) -> None:
        self._store = BoundedStore(settings)
        self._lock = threading.Lock()
        self._text, self._read_at = b"", -_FRESH_SECONDS

    def text(self) -> bytes:
        """Return all metrics.

        Raises:
            MissingRight: our Redis user lacks an operator's right; the message names it.
        """
        with self._lock:
            if monotonic() - self._read_at >= _FRESH_SECONDS:
                self._text = exposition(Snapshot.take(self._store.within(_REDIS_SECONDS)))
                self._read_at = monotonic()
                self._store.close()
            return self._text
