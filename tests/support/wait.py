"""Waiting, in tests."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

T = TypeVar("T")

# Where only a hang is to be caught; a busy machine may take long.
PATIENCE_SECONDS = 120.0
_POLL_SECONDS = 0.02


def wait_until(what: Callable[[], T], description: str, seconds: float = PATIENCE_SECONDS) -> T:
    """Call `what` until its result is truthy, and return that; fail with `description` when it never is."""
    end = time.monotonic() + seconds
    while not (result := what()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:g} s in vain until {description}")
        time.sleep(_POLL_SECONDS)
    return result


async def wait_until_async(what: Callable[[], Awaitable[T]], description: str, seconds: float = PATIENCE_SECONDS) -> T:
    """Wait as `wait_until` does, for an awaitable."""
    end = time.monotonic() + seconds
    while not (result := await what()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:g} s in vain until {description}")
        await anyio.sleep(_POLL_SECONDS)
    return result
