"""The silence after which a connection is given up: the server owes a reply and sends nothing for too long."""

import asyncio
from collections.abc import Callable
from typing import NoReturn

import redis

# Below a lease: a worker whose connection is half-open must be back before it loses its turns.
SILENT_SECONDS = 5.0

_TICKS = 5


async def watch_for_silence(expecting: Callable[[], bool], heard: Callable[[], int]) -> NoReturn:
    """Raise redis.TimeoutError once a reply has been `expecting` for `SILENT_SECONDS` while the count `heard` stood still.

    Counted in ticks and not by the clock: a process that was stopped for a while has not waited.
    """
    silent = last = 0
    while silent < _TICKS:
        await asyncio.sleep(SILENT_SECONDS / _TICKS)
        silent = silent + 1 if expecting() and heard() == last else 0
        last = heard()
    raise redis.TimeoutError("The server is silent.")
