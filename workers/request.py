"""Celery's request of one dispatched turn."""

from celery.worker.request import Request

from turnstile.workers.process import lifecycle


class DispatchRequest(Request):
    """A request that always runs: the scripts know which turns have been cancelled.

    A cold shutdown (SIGQUIT, Ctrl-C twice) gives its turn back at once; Celery would want to kill the thread, and cannot."""

    def revoked(self) -> bool:
        """Return False: a worker's list of revoked ids does not notice when an id is used again."""
        return False

    def cancel(self, pool: object, signal: object = None, emit_retry: bool = True) -> None:  # noqa: ARG002 - Celery's signature
        """Return this turn and all others of the process, which Celery is cancelling too."""
        lifecycle.give_back()
