"""One measurement: give a contestant a pile of turns, and watch it work them off."""

import itertools
import time
from dataclasses import dataclass

from bench.contestants import Contestant
from bench.history import QUESTION

_POLL_SECONDS = 0.05
_MEMORY_EVERY = 10


@dataclass(frozen=True, slots=True)
class Sample:
    """`rate`: turns a second. `cpu`: worker CPU seconds a turn. `memory`: the most bytes above idle. `turns`: those done."""

    rate: float
    cpu: float
    memory: int
    turns: int


def measure(who: Contestant, turns: int, latency: float, seconds: float = 60.0, sessions: list[str] | None = None) -> Sample:
    """Work off `turns`, or as many as get done in `seconds`.

    The rate is that of all turns, from the first enqueued to the last answered, waits for the model included. CPU is that of
    all turns; where a measurement is cut off, it holds what was begun, too.
    """
    bench = who.bench
    names = sessions or who.fill(turns)
    idle, base = who.usage(), bench.answered()
    who.ask(names, question(latency))
    began, done, peak = time.monotonic(), 0, idle.memory
    for step in itertools.count():
        done = bench.answered() - base
        took = time.monotonic() - began
        if step % _MEMORY_EVERY == 0:
            peak = max(peak, who.usage().memory)
        if done >= turns:
            cpu = settled(who) - idle.cpu
            break
        if took > seconds:
            cpu = who.usage().cpu - idle.cpu
            who.discard()
            break
        time.sleep(_POLL_SECONDS)
    return Sample(done / took, cpu / max(done, 1), peak - idle.memory, done)


def settled(who: Contestant) -> float:
    """Return the CPU that a contestant has used, once the last turns are stored, too."""
    used = who.usage().cpu
    while True:
        time.sleep(2 * _POLL_SECONDS)
        more = who.usage().cpu
        if more - used < _POLL_SECONDS / 2:
            return more
        used = more


def question(latency: float) -> str:
    """Return the question, with its instructions for the stand-in."""
    return f"{QUESTION}[[latency={latency:g}]]" if latency else QUESTION
