"""Many requests, of which a bounded number is unfinished at one time: for `turnstile batch` and the gateway's batches."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from typing import Any, TypeVar

from turnstile.producers.reading.readers import Patience
from turnstile.turns.asyncio_tasks import end_all
from turnstile.turns.errors import QueueMemoryFull, QueueUnreachable, QuotaExceeded, TooManyWaiting, TurnRefused

Line = TypeVar("Line")
Submitted = TypeVar("Submitted")
Result = TypeVar("Result")

PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
LATER = (TooManyWaiting, QueueMemoryFull)
"""Refusals that end by themselves: a batch waits until its turn is accepted."""


def _one(_: object) -> int:
    return 1


async def answer_all(
    lines: AsyncIterable[Line],
    submit: Callable[[Line], Awaitable[Submitted]],
    result: Callable[[Submitted], Awaitable[Result]],
    at_once: int,
    places: Callable[[Line], int] = _one,
) -> AsyncGenerator[Result]:
    """Yield the results of lines as they come, while later lines are submitted: one by one, so a session's keep their order.

    `at_once` is the number of places for unfinished lines; `places` returns how many a line takes, fewer than that or not.
    """
    free = asyncio.Semaphore(at_once)
    ready: asyncio.Queue[asyncio.Task[Any]] = asyncio.Queue()
    following: dict[asyncio.Task[Result], int] = {}

    async def submit_all() -> None:
        async for line in lines:
            taken = min(places(line), at_once)
            for _ in range(taken):
                await free.acquire()
            task = asyncio.ensure_future(result(await submit(line)))
            following[task] = taken
            task.add_done_callback(ready.put_nowait)

    submitting = asyncio.create_task(submit_all())
    submitting.add_done_callback(ready.put_nowait)
    try:
        while not submitting.done() or following:
            task = await ready.get()
            if task is submitting:
                task.result()
                continue
            for _ in range(following.pop(task)):
                free.release()
            yield task.result()
    finally:
        await end_all([submitting, *following])


async def accepted(
    ask: Callable[[], Awaitable[object]], pause: Callable[[float], Awaitable[object]] = asyncio.sleep
) -> TurnRefused | None:
    """Submit a turn, and return the reason if it is refused for good. Caps and outages are waited out, by `pause`."""
    patience = Patience(None)
    while True:
        try:
            await ask()
            return None
        except LATER as error:
            patience.answered()
            wait = error.wait if isinstance(error, QuotaExceeded) else 0
            await pause(min(max(wait, PAUSE_SECONDS), LONGEST_PAUSE_SECONDS))
        except TurnRefused as error:
            return error
        except QueueUnreachable as error:
            await pause(patience.tolerate(error))
