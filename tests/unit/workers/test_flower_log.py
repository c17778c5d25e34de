"""What Flower writes at its start that reads like errors, and is none."""

import inspect
import logging
from importlib import import_module
from typing import Any

import pytest

from turnstile.workers.celery_patches.flower_queues import show_in_flower

inspector: Any = import_module("flower.inspector")
NOBODY_ANSWERED = "Inspect method %s failed"


@pytest.mark.parametrize(("message", "passes"), [(NOBODY_ANSWERED, False), (f"{NOBODY_ANSWERED}: %s", True)])
def test_that_no_worker_answers_is_no_news(message: str, passes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("flower.views"), "Broker", None)
    log = logging.getLogger(inspector.__name__)
    monkeypatch.setattr(log, "filters", [])
    show_in_flower()
    assert f'"{message}"' in inspect.getsource(inspector)
    record = log.makeRecord(log.name, logging.WARNING, "", 0, message, ("stats", "x")[: message.count("%s")], None)
    assert bool(log.filter(record)) is passes
