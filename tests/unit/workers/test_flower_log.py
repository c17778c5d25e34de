"""Lines that Flower writes at its start, which read like errors and are none."""

import logging
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

from turnstile.workers.celery_patches.flower_queues import show_in_flower

LOG = "flower.inspector"
NOBODY_ANSWERED = "Inspect method %s failed"


@pytest.mark.parametrize(("message", "passes"), [(NOBODY_ANSWERED, False), (f"{NOBODY_ANSWERED}: %s", True)])
def test_that_no_worker_answers_is_no_news(message: str, passes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower itself is not loaded: its modules would be patched for all tests of this process."""
    found = find_spec(LOG)
    assert found
    assert f'"{message}"' in Path(found.origin or "").read_text()
    log = logging.getLogger(LOG)
    monkeypatch.setattr(log, "filters", [])
    monkeypatch.setitem(sys.modules, "flower.views", SimpleNamespace())
    show_in_flower()
    record = log.makeRecord(log.name, logging.WARNING, "", 0, message, ("stats", "x")[: message.count("%s")], None)
    assert bool(log.filter(record)) is passes
