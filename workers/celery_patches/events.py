"""The consumer's loop: events for Flower go out together, and a free slot is filled at once.

Celery sends events nearly one by one, and a message for each costs more than all else in it. And with
`worker_disable_prefetch` it fetches the next task only when its loop turns for some other reason.
"""

import re
import socket
from contextlib import suppress
from typing import Any

from celery import bootsteps
from celery.worker.consumer.events import Events
from celery.worker.state import reserved_requests

_PACE_SECONDS = 0.5
_LONGEST_STEP = 40
_MOST = 200
_MOST_KEPT = 1_000


_dispatcher: Any = None


def show_step(turn: str, name: str) -> None:
    """Make a step that a turn has begun its state in Flower. Not for a loop: this sends all events when many wait."""
    # Flower's view of a turn is never worth the turn.
    with suppress(Exception):
        _dispatcher and _dispatcher.send(f"task-step_{re.sub(r'[^A-Za-z0-9]+', '_', name)[:_LONGEST_STEP]}", uuid=turn)


class PacedEvents(bootsteps.StartStopStep):
    """Flushes the worker's task events twice a second, or when there are many; wakes a loop that was full."""

    requires = (Events,)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._timer: Any = None
        self._ends: tuple[socket.socket, ...] = ()
        self._busy = False
        self._look = lambda: self._note(parent)

    def _note(self, parent: Any) -> None:
        """Note whether half of the slots are taken, or more: then all may be, before the loop looks again."""
        self._busy = 2 * len(reserved_requests) >= parent.pool.num_processes

    def start(self, parent: Any) -> None:
        """Take over the flushing of events from the consumer."""
        dispatcher = parent.event_dispatcher
        if not parent.hub or not dispatcher:
            return
        hearing, calling = self._ends = socket.socketpair()
        for end in self._ends:
            end.setblocking(False)
        parent.hub.add_reader(hearing, hearing.recv, 4096)
        parent.hub.on_tick.add(self._look)

        def wake() -> None:
            # A turn's last event comes when its slot is already free; the loop may still sleep because all slots were taken.
            if self._busy:
                with suppress(OSError):
                    calling.send(b"\0")

        dispatcher.on_send_buffered = wake
        dispatcher.buffer_limit = _MOST
        _note_dispatcher(dispatcher)
        self._timer = parent.timer.call_repeatedly(_PACE_SECONDS, _flush, (dispatcher,))

    def stop(self, parent: Any) -> None:
        """Send the remaining events."""
        timer, self._timer = self._timer, None
        if not timer:
            return
        timer.cancel()
        _note_dispatcher(None)
        parent.event_dispatcher.on_send_buffered = None
        parent.hub.on_tick.discard(self._look)
        parent.hub.remove_reader(self._ends[0])
        for end in self._ends:
            end.close()
        parent.event_dispatcher.flush()


def _note_dispatcher(dispatcher: Any) -> None:
    global _dispatcher
    _dispatcher = dispatcher


def _flush(dispatcher: Any) -> None:
    dispatcher.flush()
    # Celery would keep events that Redis refused, forever; the turns' records have all that matters.
    kept = dispatcher._outbound_buffer
    while len(kept) > _MOST_KEPT:
        kept.popleft()
