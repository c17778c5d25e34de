"""Flower with a Redis user that may not send control commands: it shows events, and asks no worker."""

import logging
import sys
from typing import Any

from kombu.exceptions import OperationalError
from redis.exceptions import NoPermissionError

log = logging.getLogger(__name__)

_NEWS = "Flower's Redis user may not send control commands: it shows turns and workers, and no page of a single worker"


class _Asking:
    """The asking of workers, up to the first refusal."""

    def __init__(self) -> None:
        self._refused = False

    def __call__(self, ask: Any, *args: Any, **options: Any) -> None:
        if self._refused:
            return
        try:
            ask(*args, **options)
        except (NoPermissionError, OperationalError) as error:
            if not any(isinstance(one, NoPermissionError) for one in (error, error.__cause__)):
                raise
            self._refused = True
            log.warning("%s", _NEWS)


def bear_missing_rights() -> None:
    """Let Flower go on where it may not ask the workers; does nothing in a process without Flower."""
    if not (inspector := sys.modules.get("flower.inspector")):
        return
    events: Any = sys.modules["flower.events"]
    asking, ask, receiver = _Asking(), inspector.Inspector._inspect, events.EventReceiver

    class Receiver(receiver):  # type: ignore[misc,valid-type]  # a class that is only there with Flower
        """A receiver that may have no right to wake workers."""

        def wakeup_workers(self, channel: Any = None) -> None:
            """Ask the workers for a heartbeat now."""
            asking(super().wakeup_workers, channel=channel)

    events.EventReceiver = Receiver
    inspector.Inspector._inspect = lambda *args: asking(ask, *args)
