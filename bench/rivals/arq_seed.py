"""The seed's chain on arq: `python -m bench.rivals.arq_seed`."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvloop
from arq.connections import RedisSettings
from arq.worker import func, run_worker

from bench.rivals.chain import IN_FLIGHT, REDIS_URL, chain_with_history, config


async def prepare(context: dict[str, Any]) -> None:
    """Build the chain on the worker's loop, with threads enough for the history's blocking calls."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(32))
    context["chain"] = chain_with_history(asynchronous=True)


async def answer(context: dict[str, Any], session: str, question: str) -> None:
    """One turn."""
    await context["chain"].ainvoke({"question": question}, config=config(session))


class WorkerSettings:
    """No results, quick polling, no line for each job."""

    functions = (func(answer, name="answer", keep_result=0),)
    redis_settings = RedisSettings.from_dsn(REDIS_URL)
    on_startup = prepare
    max_jobs = IN_FLIGHT
    poll_delay = 0.05
    log_results = False


if __name__ == "__main__":
    uvloop.install()
    asyncio.set_event_loop(asyncio.new_event_loop())
    run_worker(WorkerSettings)  # type: ignore[arg-type]  # as arq's own documentation does
