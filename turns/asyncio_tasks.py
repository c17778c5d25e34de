"""Asyncio tasks that run together, and ending them.

Python 3.11 loses cancellations. A TaskGroup forgets one that comes while it ends for an error, and whoever goes on after the
error never hears of it. `asyncio.wait_for`, which redis-py sends with, forgets one that comes as it returns.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

_AGAIN_SECONDS = 0.25


async def run_together(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run them until the first one ends, and end the others. Raises what that one raised; a cancellation comes before it."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        first = next(task for task in tasks if task.done())
    finally:
        await end_all(tasks)
    first.result()


async def end_all(tasks: "Iterable[asyncio.Future[Any]]") -> None:
    """Cancel tasks, and return when all have ended, however they did."""
    every = set(tasks)
    pending = {task for task in every if not task.done()}
    for task in every:
        task.add_done_callback(_look_at)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_AGAIN_SECONDS)


def _look_at(task: "asyncio.Future[Any]") -> None:
    # asyncio reports an exception that nobody has looked at.
    if not task.cancelled():
        task.exception()
