"""The part of Celery that fetches tasks, with outages logged once, retries at a pace, and beats for the worker's health."""

import logging
import warnings
from time import sleep
from typing import Any

from celery.exceptions import CPendingDeprecationWarning
from celery.worker import consumer
from celery.worker.state import maybe_shutdown
from kombu.exceptions import OperationalError

from turnstile.workers.celery_patches.broker import put_back
from turnstile.workers.celery_patches.repeated_errors import OncePerMinute, OutageLog
from turnstile.workers.process import lifecycle

log = logging.getLogger(__name__)

_BEAT_SECONDS = 1.0
_MAIN_PATIENCE_SECONDS = 15.0
_PATIENCE_SECONDS = 10.0
_NOISY = ("celery.worker.consumer.connection", "celery.worker.consumer.mingle", "celery.worker.consumer.gossip")
_TRACED = ("kombu.asynchronous.hub", "kombu.transport.redis", "celery.worker.consumer.consumer")

_celery: Any = consumer.Consumer  # its stubs leave out most of what is overridden


class Consumer(_celery):  # type: ignore[misc]  # see above
    """Celery's consumer. `main` beats while its thread makes progress, `consuming` while Redis answers its BRPOP."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # kombu's error for a refused message; Celery would end the worker over it.
        self.connection_errors += (OperationalError,)
        health = lifecycle.runtime().health
        self._main = health.part("main", _MAIN_PATIENCE_SECONDS)
        self._consuming = health.part("consuming", _PATIENCE_SECONDS)
        self._outage = OutageLog(log, "consumer")
        # Celery's warning of changes in its version 6 is of no use to readers of an outage.
        warnings.filterwarnings("ignore", category=CPendingDeprecationWarning)
        for name in _TRACED:
            logging.getLogger(name).addFilter(OncePerMinute())

    def answered(self) -> None:
        """Note that Redis has answered."""
        self._consuming.beat()
        self._outage.end()

    def refused(self, error: Exception) -> float:
        """Log Redis's words; return the seconds to wait."""
        return self._outage.record(error)

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, and retry until it succeeds."""
        connected = conn.ensure_connection(self._not_yet, None, callback=self._alive)
        self.first_connection_attempt = False
        return connected

    def connect(self) -> Any:
        """Connect for fetching."""
        conn = super().connect()
        conn.listener = self
        return conn

    def stop(self) -> None:
        """Stop fetching."""
        super().stop()
        if self.task_consumer:
            put_back(self.task_consumer.channel)

    def _not_yet(self, error: Exception, _pause: float) -> None:
        self._main.beat()
        self._outage.record(error)

    def _alive(self) -> None:
        self._main.beat()
        maybe_shutdown()

    def register_with_event_loop(self, hub: Any) -> None:
        """Beat from the loop's own timer, which runs when it has nothing else to do."""
        super().register_with_event_loop(hub)
        hub.timer.call_repeatedly(_BEAT_SECONDS, self._beat)

    def _beat(self) -> None:
        self._main.beat()
        if self.task_consumer and not self.task_consumer.channel.qos.can_consume():
            # All slots are taken: nothing can be fetched.
            self._consuming.beat()

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Log the error, and wait a little."""
        self._main.beat()
        sleep(self._outage.record(exc))

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Log the error, clean up as Celery does but without its own log lines, and wait a little."""
        self._main.beat()
        pause = self._outage.record(exc)
        for name in _NOISY:
            logging.getLogger(name).setLevel(logging.WARNING)
        celerys = logging.getLogger(_celery.__module__)
        celerys.disabled = True
        try:
            super().on_connection_error_after_connected(exc)
        finally:
            celerys.disabled = False
        sleep(pause)
