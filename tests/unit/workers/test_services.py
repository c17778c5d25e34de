"""Services are restarted when they fail, and say why, once."""

import asyncio

import pytest

from tests.support.wait import PATIENCE_SECONDS
from turnstile.turns.errors import BrokenRecord
from turnstile.workers.process import service
from turnstile.workers.process.health import Beat, Health


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (BrokenRecord("Another type."), "presence failed with BrokenRecord: Another type. (it starts again)"),
        (ValueError("a question"), "presence failed with ValueError (it starts again)"),
    ],
)
async def test_a_service_that_fails_repeatedly_is_reported_once(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service, "_RESTART_SECONDS", 0.01)
    tries, often = 0, asyncio.Event()

    async def fail(_: Beat) -> None:
        nonlocal tries
        tries += 1
        if tries == 5:
            often.set()
        raise error

    [task] = service.start_all([service.Service("presence", 1, fail)], Health())
    await asyncio.wait_for(often.wait(), PATIENCE_SECONDS)
    task.cancel()
    assert caplog.messages == [said]
