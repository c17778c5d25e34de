"""Services: the parts of a worker process that run beside its turns.

Health watches each by its name and patience; anything that shows the parts of a worker reads the same list.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import redis

from turnstile.turns.errors import QueueUnreachable, TurnstileError
from turnstile.turns.repeated_errors import RepeatedWarnings
from turnstile.workers.process.health import Beat, Health

Run = Callable[[Beat], Coroutine[Any, Any, None]]

_RESTART_SECONDS = 1.0
_TICK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Service:
    """A named part of the process. `run` never returns, and calls its argument, the beat, after each step that succeeded.

    `patience`: seconds without a beat after which the part counts as stale.
    """

    name: str
    patience: float
    run: Run


def start_all(services: list[Service], health: Health) -> list[asyncio.Task[None]]:
    """Start the services on the running loop, watched by `health`."""
    return [asyncio.create_task(_keep_running(one, health.part(one.name, one.patience).beat)) for one in services]


async def _keep_running(service: Service, beat: Beat) -> None:
    """Restart a service that fails: a worker that no longer renews or sweeps would look alive, so no error may end one."""
    warnings = RepeatedWarnings(__name__)
    while True:
        try:
            await service.run(beat)
        except Exception as error:
            why = f": {error}" if isinstance(error, TurnstileError | redis.ResponseError) else ""
            warnings.warn(f"{service.name} failed with {type(error).__name__}{why} (it starts again)")
        await asyncio.sleep(_RESTART_SECONDS)


async def tick(beat: Beat) -> None:
    """Beat for as long as the loop runs."""
    while True:
        beat()
        await asyncio.sleep(_TICK_SECONDS)


def every(
    seconds: float,
    step: Callable[[], Awaitable[object]],
    purpose: str,
    *,
    retry: float | None = None,
    wake: asyncio.Event | None = None,
) -> Run:
    """Return a run that takes a step about every `seconds`, or as soon as `wake` is set.

    An outage is waited out, with `retry` seconds between its steps; a refusal is logged, once a minute, and tried again.
    """
    warnings, woken = RepeatedWarnings(__name__), wake or asyncio.Event()

    async def run(beat: Beat) -> None:
        pause = seconds
        while True:
            await _wait(woken, _jittered(pause))
            try:
                await step()
                beat()
                pause = seconds
            except (QueueUnreachable, redis.RedisError, OSError) as error:
                warnings.warn(f"cannot {purpose}: {error}")
                pause = retry or seconds

    return run


async def _wait(woken: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await woken.wait()
    woken.clear()


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.8, 1.2)  # noqa: S311 - no secret
