"""The speed of one producer without a worker: wall time, and the producer's own CPU."""

import asyncio
import time
from statistics import median

from bench.contestants import Arq, Gevent, Rival, Taskiq, Turnstile
from bench.history import QUESTION
from bench.machine import Bench
from bench.tables import Table, spread
from turnstile.producers.client import AsyncChatClient, ChatClient

TURNS = 2_000
ROUNDS = 3
AT_ONCE = 50


def run(bench: Bench) -> tuple[Table, float]:
    """Measure all producers; return their table, and the turns that the blocking one enqueues in a second of CPU."""
    table = Table(
        "Enqueueing",
        f"One producer process, {TURNS:,} turns of as many sessions, {ROUNDS} rounds, no worker. A second of its core is what "
        "counts where producers do other things, too: for waiting there is no charge.",
        ("who", "turns/s", "turns a CPU second of the producer"),
    )
    who = Turnstile(bench, 1)
    blocking = [_blocking(who) for _ in range(ROUNDS)]
    awaited = [asyncio.run(_awaited(who)) for _ in range(ROUNDS)]
    who.client.flushdb()
    for name, pairs in (("ChatClient.ask", blocking), (f"AsyncChatClient.ask, {AT_ONCE} at once", awaited)):
        table.add(
            name, spread([TURNS / wall for wall, _ in pairs], digits=0), spread([TURNS / cpu for _, cpu in pairs], digits=0)
        )
    for kind, name in (
        (Gevent, "Celery's send_task"),
        (Arq, f"arq, {AT_ONCE} at once"),
        (Taskiq, f"taskiq, {AT_ONCE} at once"),
    ):
        pairs = _rival(kind(bench, 1))
        table.add(
            name, spread([TURNS / wall for wall, _ in pairs], digits=0), spread([TURNS / cpu for _, cpu in pairs], digits=0)
        )
    return table, median(TURNS / cpu for _, cpu in blocking)


def _blocking(who: Turnstile) -> tuple[float, float]:
    client = ChatClient(who.url, who.settings)
    client.ask("warm", QUESTION)
    wall, cpu = time.perf_counter(), time.process_time()
    for number in range(TURNS):
        client.ask(f"b{number}", QUESTION)
    return time.perf_counter() - wall, time.process_time() - cpu


async def _awaited(who: Turnstile) -> tuple[float, float]:
    async with AsyncChatClient(who.url, who.settings) as client:
        await asyncio.gather(*(client.ask(f"warm{number}", QUESTION) for number in range(AT_ONCE)))
        wall, cpu = time.perf_counter(), time.process_time()
        for start in range(0, TURNS, AT_ONCE):
            await asyncio.gather(*(client.ask(f"a{start + number}", QUESTION) for number in range(AT_ONCE)))
        return time.perf_counter() - wall, time.process_time() - cpu


def _rival(rival: Rival) -> list[tuple[float, float]]:
    rival.start_producer()
    try:
        rival.enqueue_seconds(["warm"], QUESTION)
        pairs = []
        for _ in range(ROUNDS):
            before = rival.producer_cpu()
            wall = rival.enqueue_seconds([f"s{number}" for number in range(TURNS)], QUESTION)
            pairs.append((wall, rival.producer_cpu() - before))
        return pairs
    finally:
        rival.stop()
