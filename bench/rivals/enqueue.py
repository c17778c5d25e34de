"""A producer for a rival: `python -m bench.rivals.enqueue celery|arq|taskiq` takes orders, one JSON object a line.

An order is `{"sessions": [name, …], "question": text}`; the reply is the seconds that enqueueing took.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

REDIS_URL = os.environ["BENCH_REDIS_URL"]
_AT_ONCE = 50

Enqueue = Callable[[str, str], Awaitable[Any]]


async def celery() -> Enqueue:
    """Plain `send_task`, by name."""
    from celery import Celery

    app = Celery("seed", broker=REDIS_URL)
    app.conf.update(task_ignore_result=True)

    async def enqueue(session: str, question: str) -> None:
        app.send_task("seed.answer", args=(session, question))

    return enqueue


async def arq() -> Enqueue:
    """`enqueue_job`, by name."""
    from arq import create_pool
    from arq.connections import RedisSettings

    pool = await create_pool(RedisSettings.from_dsn(REDIS_URL))
    return lambda session, question: pool.enqueue_job("answer", session, question)


async def taskiq() -> Enqueue:
    """Return a kicker, by name."""
    from taskiq.kicker import AsyncKicker
    from taskiq_redis import ListQueueBroker

    broker = ListQueueBroker(REDIS_URL, max_connection_pool_size=_AT_ONCE)
    await broker.startup()
    kicker: AsyncKicker[..., Any] = AsyncKicker("answer", broker, labels={})
    return lambda session, question: kicker.kiq(session, question)


async def serve(queue: str) -> None:
    """Carry out orders until the input ends."""
    enqueue = await {"celery": celery, "arq": arq, "taskiq": taskiq}[queue]()
    for line in sys.stdin:
        order = json.loads(line)
        began = time.perf_counter()
        sessions = order["sessions"]
        for start in range(0, len(sessions), _AT_ONCE):
            batch = sessions[start : start + _AT_ONCE]
            await asyncio.gather(*(enqueue(session, order["question"]) for session in batch))
        sys.stdout.write(f"{time.perf_counter() - began}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
