"""A dispatch in a worker's hands, as Celery sees it."""

from typing import Any

from celery.worker.request import Request

from turns.settings import settings
from turns.wire import ORIGIN
from workers import process

_HIDDEN = "'hidden'"


class DispatchRequest(Request):
    """Shows nothing of a message that a plain Celery app has sent, whose header tells its arguments.

    A cold shutdown (SIGQUIT, Ctrl-C twice) gives its turn back at once; Celery would want to kill the thread, and cannot."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.request_dict.get("origin") != ORIGIN and not settings().show_content:
            self._argsrepr = self._kwargsrepr = _HIDDEN

    def cancel(self, pool: object, signal: object = None, emit_retry: bool = True) -> None:  # noqa: ARG002 - Celery's signature
        """Give back this turn, and all others of the process, which are being cancelled too."""
        process.give_back()
