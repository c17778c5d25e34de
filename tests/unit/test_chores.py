"""What goes on beside the turns is done for ever, and says what keeps it from it, once."""

import asyncio

import pytest

from turnstile.turns.errors import BrokenRecord
from turnstile.workers.process import runtime
from turnstile.workers.process.health import Beat


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (BrokenRecord("Another type."), "roll failed with BrokenRecord: Another type. (it starts again)"),
        (ValueError("a question"), "roll failed with ValueError (it starts again)"),
    ],
)
async def test_a_chore_that_fails_again_and_again_is_told_once(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(runtime, "_REST_SECONDS", 0.01)
    tries, often = 0, asyncio.Event()

    async def fail(_: Beat) -> None:
        nonlocal tries
        tries += 1
        if tries == 5:
            often.set()
        raise error

    task = asyncio.create_task(runtime._keep_at("roll", fail, lambda: None))
    await asyncio.wait_for(often.wait(), 30)
    task.cancel()
    assert caplog.messages == [said]
