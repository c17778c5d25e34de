"""Many requests, of which a bounded number is unfinished at one time: for `turnstile batch` and the gateway's batches."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from typing import Any, TypeVar

from turnstile.producers.reading.readers import Patience
from turnstile.turns.asyncio_tasks import end_all
from turnstile.turns.errors import QueueMemoryFull, QueueUnreachable, TooManyWaiting, TurnRefused

Line = TypeVar("Line")
Submitted = TypeVar("Submitted")
Result = TypeVar("Result")

PAUSE_SECONDS = 1.0


async def answer_all(
    lines: AsyncIterable[Line],
    submit: Callable[[Line], Awaitable[Submitted]],
    result: Callable[[Line, Submitted], Awaitable[Result]],
    at_once: int,
) -> AsyncGenerator[Result]:
    """Yield the results of lines as they come, while later lines are submitted: one by one, so a session's keep their order."""
    slots = asyncio.Semaphore(at_once)
    ready: asyncio.Queue[asyncio.Task[Any]] = asyncio.Queue()
    following: set[asyncio.Task[Result]] = set()

    async def submit_all() -> None:
        async for line in lines:
            await slots.acquire()
            task = asyncio.ensure_future(result(line, await submit(line)))
            following.add(task)
            task.add_done_callback(ready.put_nowait)

    submitting = asyncio.create_task(submit_all())
    submitting.add_done_callback(ready.put_nowait)
    try:
        while not submitting.done() or following:
            task = await ready.get()
            if task is submitting:
                task.result()
                continue
            following.discard(task)
            slots.release()
            yield task.result()
    finally:
        await end_all([submitting, *following])


async def accepted(ask: Callable[[], Awaitable[object]]) -> TurnRefused | None:
    """Submit a turn, and return the reason if it is refused for good. Caps and outages are waited out."""
    patience = Patience(None)
    while True:
        try:
            await ask()
            return None
        except (TooManyWaiting, QueueMemoryFull):
            patience.answered()
            await asyncio.sleep(PAUSE_SECONDS)
        except TurnRefused as error:
            return error
        except QueueUnreachable as error:
            await asyncio.sleep(patience.tolerate(error))
