"""One measurement: give a contestant a pile of turns, and watch it work them off."""

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

    The rate is that after the first quarter of the answers, when the worker is full; with a model that answers at once, that of
    all turns from the first enqueued to the last stored. CPU is that of all turns.
    """
    bench = who.bench
    names = sessions or who.fill(turns)
    idle, base = who.usage(), bench.answered()
    who.ask(names, question(latency))
    began, done, peak = time.monotonic(), 0, idle.memory
    marks: list[tuple[float, int]] = []
    for step in range(10**9):
        done = bench.answered() - base
        now = time.monotonic()
        if done >= turns // 4:
            marks.append((now, done))
        if step % _MEMORY_EVERY == 0:
            peak = max(peak, who.usage().memory)
        if done >= turns:
            break
        if now - began > seconds:
            cpu = who.usage().cpu - idle.cpu
            who.discard()
            return Sample(_rate(marks, began, done), cpu / max(done, 1), peak - idle.memory, done)
        time.sleep(_POLL_SECONDS)
    cpu = _settled(who) - idle.cpu
    if not latency:
        marks = []
        began += 2 * _POLL_SECONDS
    return Sample(_rate(marks, began, done), cpu / max(done, 1), peak - idle.memory, done)


def _rate(marks: list[tuple[float, int]], began: float, done: int) -> float:
    if len(marks) > 1 and marks[-1][1] > marks[0][1]:
        return (marks[-1][1] - marks[0][1]) / (marks[-1][0] - marks[0][0])
    return done / (time.monotonic() - began)


def _settled(who: Contestant) -> float:
    """The CPU used, once the last turns are stored, too."""
    used = who.usage().cpu
    while True:
        time.sleep(2 * _POLL_SECONDS)
        more = who.usage().cpu
        if more - used < _POLL_SECONDS / 2:
            return more
        used = more


def question(latency: float) -> str:
    """The question, with what the stand-in shall do about it."""
    return f"{QUESTION}[[latency={latency:g}]]" if latency else QUESTION
