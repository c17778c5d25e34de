"""The anatomy of a turn's time: each part measured alone, beside its floor and the whole."""

import json
from collections import defaultdict
from collections.abc import Mapping
from statistics import median

from celery import Celery

from bench.contestants import Turnstile
from bench.machine import PYTHON, Bench
from bench.tables import Table
from tests.support.wait import wait_until

TURNS = 600
TASKS = 1_500
ROUNDS = 2
ABOUT = {
    "receive": ("Celery: receive, trace, log, a thread", "receive floor", "BRPOP and two json.loads"),
    "events": ("Celery: events for Flower", "", "none need be sent"),
    "hand over": ("from the thread to the loop and back", "", "a pool that runs on the loop"),
    "claim": ("claim, with the window's bytes", "claim floor", "one command over a bare stream, same bytes"),
    "window": ("the window: elements to messages", "window floor", "json.loads of the same elements"),
    "chain and HTTP": ("prompt, model, HTTP", "HTTP floor", "aiohttp posting ready bytes"),
    "finish": ("finish: encode, commit", "finish floor", "one command over a bare stream"),
}


def run(bench: Bench, whole: float) -> Table:
    """Measure the parts beside the whole: `whole` is a worker's CPU microseconds a turn, measured in the same run."""
    rounds: dict[str, list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        for name, value in _in_process(bench).items():
            rounds[name].append(value)
        quiet = _celery(bench, {"BENCH_NO_EVENTS": "1"})
        rounds["receive"].append(quiet)
        rounds["events"].append(max(0.0, _celery(bench, {}) - quiet))
    return _table({name: median(values) for name, values in rounds.items()}, whole)


def _table(found: Mapping[str, float], whole: float) -> Table:
    table = Table(
        "Where the time of a turn goes",
        f"CPU microseconds, 40 messages, no streaming; each part alone in a loop, 50 at once, median of {ROUNDS} rounds. The "
        "floor is what the same bytes cost at least in Python. Alone, a part finds its data in the processor's caches; "
        "together they do not, and threads wait for the interpreter's lock: that is the last row.",
        ("part", "µs a turn", "floor, µs", "what the floor is"),
    )
    total = floors = 0.0
    for name, (words, floor, what) in ABOUT.items():
        least = found[floor] if floor else 0.0
        total, floors = total + found[name], floors + least
        table.add(words, f"{found[name]:.0f}", f"{least:.0f}", what)
    table.add("sum of the parts", f"{total:.0f}", f"{floors:.0f}", "")
    table.add("a worker's turn, measured whole (500 in flight, 0 s)", f"{whole:.0f}", "", "")
    table.add("not in the parts", f"{whole - total:.0f}", "", "leases, sweeps, caches, the interpreter's lock")
    return table


def _in_process(bench: Bench) -> dict[str, float]:
    who = Turnstile(bench, 1)
    env = {"REDIS_URL": who.url, "BENCH_TIMES": str(TURNS)}
    with bench.process("parts", [PYTHON, "-m", "bench.parts"], env, orders=True) as process:
        found: dict[str, float] = json.loads(process.read())
    who.client.flushdb()
    return found


def _celery(bench: Bench, env: Mapping[str, str]) -> float:
    """CPU microseconds of a task that does nothing."""
    who = Turnstile(bench, 1)
    command = [
        PYTHON,
        "-m",
        "celery",
        "-A",
        "bench.noop",
        "worker",
        "-Q",
        "bench",
        "-c",
        "50",
        "--loglevel=INFO",
        "-n",
        "noop@%h",
    ]
    with bench.process("noop", command, {"REDIS_URL": who.url, **env}) as process:
        process.wait_for(" ready.")
        _send(who.url, 100)
        wait_until(lambda: process.log.count("succeeded") >= 100, "warm", 60)
        before = process.usage().cpu
        _send(who.url, TASKS)
        wait_until(lambda: process.log.count("succeeded") >= 100 + TASKS, "all tasks are done", 60)
        used = process.usage().cpu - before
    who.client.flushdb()
    return used / TASKS * 1e6


def _send(url: str, count: int) -> None:
    sender = Celery("sender", broker=url, set_as_current=False)
    with sender.producer_pool.acquire(block=True) as producer:
        for _ in range(count):
            sender.send_task("bench.noop", args=("s",), queue="bench", ignore_result=True, producer=producer)
    sender.close()
