"""The chain on an asyncio loop and nothing else, as the limit: no queue, no Redis, the history already in memory.

`python -m bench.rivals.bare stock|own` takes orders, one JSON object a line, `{"turns": n, "in_flight": n, "question": text}`,
and replies when they are done. `stock` is the seed's `prompt | ChatOpenAI`, `own` Turnstile's default chain.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

from bench.history import window

Ask = Callable[[str], Awaitable[Any]]


def stock() -> Ask:
    """Return the seed's chain, by `ainvoke`."""
    from bench.rivals.chain import chain

    stocked, history = chain(asynchronous=True), window()
    return lambda question: stocked.ainvoke({"question": question, "history": history})


def own() -> Ask:
    """Turnstile's chain, as its workers call it."""
    from turnstile.turns.settings import Settings
    from turnstile.workers.chains.load import load_chain
    from turnstile.workers.chains.run import run_chain

    chain = load_chain(Settings(concurrency=int(os.environ["BENCH_IN_FLIGHT"])), os.environ["OPENAI_BASE_URL"])
    history = window()
    return lambda question: run_chain(chain, question, history, "bare")


async def serve(kind: str) -> None:
    """Carry out orders until the input ends."""
    ask = {"stock": stock, "own": own}[kind]()
    loop = asyncio.get_running_loop()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order = json.loads(line)
        free = asyncio.Semaphore(order["in_flight"])

        async def one(question: str, free: asyncio.Semaphore) -> None:
            async with free:
                await ask(question)

        await asyncio.gather(*(one(order["question"], free) for _ in range(order["turns"])))
        sys.stdout.write("done\n")
        sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
