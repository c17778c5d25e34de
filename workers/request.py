"""Celery's request of one dispatched turn."""

from typing import Any

from celery.states import REVOKED
from celery.worker.request import Request

from turnstile.workers.attempt.report import End
from turnstile.workers.process import lifecycle

_EVENTS: dict[str, tuple[str, dict[str, Any]]] = {
    # Its state would lose against a step's, which Celery does not know.
    repr(End.CANCELLED): ("task-revoked", {"terminated": True, "signum": "", "expired": False, "state": REVOKED}),
    repr(End.REQUEUED): ("task-retried", {"exception": "another attempt follows", "traceback": ""}),
    repr(End.UNTOLD): ("", {}),
}


class DispatchRequest(Request):
    """A request that always runs: the scripts know which turns have been cancelled.

    A cold shutdown (SIGQUIT, Ctrl-C twice) gives its turn back at once; Celery would want to kill the thread, and cannot."""

    def revoked(self) -> bool:
        """Return False: a worker's list of revoked ids does not notice when an id is used again."""
        return False

    def cancel(self, pool: object, signal: object = None, emit_retry: bool = True) -> None:  # noqa: ARG002 - Celery's signature
        """Return this turn and all others of the process, which Celery is cancelling too."""
        lifecycle.give_back()

    def send_event(self, type: str, **fields: Any) -> None:  # noqa: A002 - Celery's signature
        """Send an event for Flower: of an end that is no answer, the one that Celery has for it."""
        if type == "task-succeeded":
            type, fields = _EVENTS.get(fields["result"], (type, fields))  # noqa: A001 - Celery's name
        if type:
            super().send_event(type, **fields)
