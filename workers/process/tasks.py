"""Ending asyncio tasks."""

import asyncio
from collections.abc import Iterable
from typing import Any

_AGAIN_SECONDS = 0.25


async def end_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks, and return when all have ended, however they did."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        # Not once for all: redis-py swallows a cancellation that comes at the wrong moment of a call.
        _, pending = await asyncio.wait(pending, timeout=_AGAIN_SECONDS)
