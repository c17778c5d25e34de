"""The seed's chain on taskiq: `taskiq worker bench.rivals.taskiq_seed:broker --workers 1 --max-async-tasks N`.

A plain list: taskiq's cheapest queue on Redis, which loses what a dead worker held.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from taskiq import TaskiqEvents, TaskiqState
from taskiq_redis import ListQueueBroker

from bench.rivals.chain import REDIS_URL, chain_with_history, config

broker = ListQueueBroker(REDIS_URL)
_made: dict[str, Any] = {}


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def prepare(_: TaskiqState) -> None:
    """Build the chain on the worker's loop, with threads enough for the history's blocking calls."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(32))
    _made["chain"] = chain_with_history(asynchronous=True)


@broker.task(task_name="answer")
async def answer(session: str, question: str) -> None:
    """One turn."""
    await _made["chain"].ainvoke({"question": question}, config=config(session))
