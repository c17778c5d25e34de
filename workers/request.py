"""A dispatch in a worker's hands, as Celery sees it."""

from celery.worker.request import Request

from turnstile.workers.process import lifecycle


class DispatchRequest(Request):
    """Runs whenever its turn may run: the scripts know which turns have been cancelled.

    A cold shutdown (SIGQUIT, Ctrl-C twice) gives its turn back at once; Celery would want to kill the thread, and cannot."""

    def revoked(self) -> bool:
        """Say no. A worker's list of revoked ids is not told when one of them is used again."""
        return False

    def cancel(self, pool: object, signal: object = None, emit_retry: bool = True) -> None:  # noqa: ARG002 - Celery's signature
        """Give back this turn, and all others of the process, which are being cancelled too."""
        lifecycle.give_back()
