"""The part of Celery that fetches tasks, with outages told once, tried again at a pace, and told of in the worker's health."""

import logging
import warnings
from time import sleep
from typing import Any

from celery.exceptions import CPendingDeprecationWarning
from celery.worker import consumer
from celery.worker.state import maybe_shutdown
from kombu.exceptions import OperationalError

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
        # So kombu calls a refusal of what it sends; Celery would end the worker over it.
        self.connection_errors += (OperationalError,)
        health = lifecycle.runtime().health
        self._main = health.part("main", _MAIN_PATIENCE_SECONDS)
        self._consuming = health.part("consuming", _PATIENCE_SECONDS)
        self._outage = OutageLog(log, "consumer")
        # What would change in Celery 6 is of no use to whoever reads about an outage.
        warnings.filterwarnings("ignore", category=CPendingDeprecationWarning)
        for name in _TRACED:
            logging.getLogger(name).addFilter(OncePerMinute())

    def answered(self) -> None:
        """Note that Redis has answered."""
        self._consuming.beat()
        self._outage.end()

    def refused(self, error: Exception) -> float:
        """Tell of Redis' words; returns how long to wait."""
        return self._outage.record(error)

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, however long it takes."""
        connected = conn.ensure_connection(self._not_yet, None, callback=self._alive)
        self.first_connection_attempt = False
        return connected

    def connect(self) -> Any:
        """Connect for fetching."""
        conn = super().connect()
        conn.listener = self
        return conn

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
            # All slots are taken: nothing is to be fetched.
            self._consuming.beat()

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Tell, and wait a little."""
        self._main.beat()
        sleep(self._outage.record(exc))

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Tell, clean up as Celery does, and wait a little; what Celery says on the way is said no more."""
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
