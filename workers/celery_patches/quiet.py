"""Celery's lines of log: without those that repeat ours, and in the form that TURNSTILE_LOG_FORMAT asks for."""

import logging
from typing import Any

from celery import signals
from celery.apps import worker

from turnstile.turns.logs import JsonLines, write_json
from turnstile.turns.settings import Settings

_OF_EACH_TASK = ("celery.worker.strategy", "celery.app.trace")


def set_up_logs(settings: Settings) -> None:
    """At celeryd_init: leave out "received" and "succeeded" for each dispatch, and write JSON where that is asked for."""
    for name in _OF_EACH_TASK:
        logging.getLogger(name).setLevel(logging.WARNING)
    if settings.log_format == "json":
        write_json()
        # Written past all logging; a worker logs that it stops.
        worker.safe_say = _say_nothing  # type: ignore[attr-defined]  # not in its stubs
        signals.after_setup_logger.connect(_write_json, weak=False)
        signals.after_setup_task_logger.connect(_write_json, weak=False)


def _say_nothing(*_: Any) -> None:
    pass


def _write_json(logger: logging.Logger, **_: Any) -> None:
    for handler in logger.handlers:
        handler.setFormatter(JsonLines())
