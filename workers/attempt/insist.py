"""Calls to Redis that are worth waiting for."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

from turnstile.turns.errors import QueueUnreachable
from turnstile.turns.repeated_errors import RepeatedWarnings

T = TypeVar("T")

_LONGEST_SECONDS = 600.0
_PAUSE_SECONDS = 0.5
_warnings = RepeatedWarnings(__name__)


async def insist(call: Callable[[], Awaitable[T]], wanted: Callable[[], bool] = lambda: True) -> T:
    """Make a call until Redis takes it, or it is not `wanted` any more; then raise QueueUnreachable.

    Repeated as it is: what was done before its reply was lost is not done twice, and the fence decides whether it still counts.
    """
    end = monotonic() + _LONGEST_SECONDS
    while True:
        try:
            return await call()
        except QueueUnreachable as error:
            if monotonic() > end or not wanted():
                raise
            _warnings.warn(f"a turn waits: {error}")
        await asyncio.sleep(_PAUSE_SECONDS)
