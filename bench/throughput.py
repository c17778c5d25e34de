"""Turns a second, CPU a turn, and memory, with many turns in flight: everyone at the same levels, in turns (A B A B)."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median

from bench.contestants import (
    RIVAL_POOLS,
    Bare,
    BareOwn,
    Contestant,
    Defaults,
    Gevent,
    Prefork,
    Turnstile,
)
from bench.load import Sample, measure
from bench.machine import Bench
from bench.tables import Table, spread

Kinds = Sequence[type[Contestant]]
LATENCY = 2.0
OURS: Kinds = (Turnstile, BareOwn, Bare)
MANY: Kinds = (*OURS, Gevent)
EVERYONE: Kinds = (*OURS, *RIVAL_POOLS)


@dataclass(frozen=True, slots=True)
class Level:
    """One number of turns in flight. `fast` and `slow` are how many turns those get that take few or many milliseconds."""

    in_flight: int
    kinds: Kinds
    latency: float
    fast: int
    slow: int
    rounds: int
    seconds: float = 90.0


LEVELS = (
    Level(500, EVERYONE, 0, 1_000, 150, 2),
    Level(500, EVERYONE, LATENCY, 2_500, 500, 1),
    Level(1, EVERYONE, LATENCY, 2, 2, 1),
    Level(1, EVERYONE, 0, 100, 30, 1),
    Level(50, (*EVERYONE, Prefork), LATENCY, 100, 100, 1),
    Level(50, (*EVERYONE, Prefork), 0, 400, 120, 1),
    Level(2_000, MANY, 0, 1_000, 150, 1),
    Level(2_000, MANY, LATENCY, 4_000, 2_000, 1),
)

Results = dict[tuple[int, float], dict[str, list[Sample]]]


@contextmanager
def contest(bench: Bench, kinds: Kinds, in_flight: int) -> Iterator[list[Contestant]]:
    """Everyone, started and warm."""
    with ExitStack() as stack:
        everyone = [stack.enter_context(kind(bench, in_flight)) for kind in kinds]
        for who in everyone:
            who.ready()
        for who in everyone:
            measure(who, 40, 0, 20)
        yield everyone


def run(bench: Bench) -> Results:
    """Measure all levels, and Celery's defaults."""
    found: Results = {}
    for in_flight in dict.fromkeys(level.in_flight for level in LEVELS):
        levels = [level for level in LEVELS if level.in_flight == in_flight]
        with contest(bench, levels[0].kinds, in_flight) as everyone:
            for level in levels:
                found[in_flight, level.latency] = _rounds(level, everyone)
    with contest(bench, (Defaults,), 2) as everyone:
        found[2, LATENCY] = _rounds(Level(2, (Defaults,), LATENCY, 8, 8, 1), everyone)
    return found


def _rounds(level: Level, everyone: list[Contestant]) -> dict[str, list[Sample]]:
    samples: dict[str, list[Sample]] = defaultdict(list)
    for _ in range(level.rounds):
        for who in everyone:
            turns = level.fast if isinstance(who, Turnstile | BareOwn) else level.slow
            samples[who.name].append(measure(who, turns, level.latency, level.seconds))
            print(
                f"  {who.name}, {level.in_flight} in flight, {level.latency:g} s: {samples[who.name][-1].rate:.1f}/s",
                flush=True,
            )
    return samples


def tables(found: Results) -> list[Table]:
    """Return the levels as one table, and the memory of turns in flight as another."""
    rates = Table(
        "Turns a second and worker CPU a turn",
        "40 messages in each session, no streaming. A worker is one process except for prefork; the model answers after 2 s or "
        "at once. The rate is that of all turns, from the first enqueued to the last answered. Medians, with the "
        "least and the most of the rounds; all in one run, one after the other in each round.",
        ("in flight, model", "who", "turns/s", "CPU ms a turn", "turns measured"),
    )
    for (in_flight, latency), samples in found.items():
        for name, got in samples.items():
            rate = spread([s.rate for s in got])
            cpu = spread([s.cpu * 1000 for s in got], digits=2)
            rates.add(f"{in_flight:,}, {latency:g} s", name, rate, cpu, f"{sum(s.turns for s in got):,}")
    memory = Table(
        "Memory of turns in flight",
        "The most memory of the worker above its own when idle, with the 2 s model, for one turn in flight.",
        ("who", "500 in flight, KiB a turn", "2,000 in flight, KiB a turn", "2,000 in flight, MiB in all"),
    )
    few, many = found[500, LATENCY], found[2_000, LATENCY]
    for name in few:
        one = [s.memory / 500 / 1024 for s in few[name][:1]]
        two = [s.memory / 2_000 / 1024 for s in many.get(name, ())]
        memory.add(name, spread(one), spread(two), spread([s.memory / 2**20 for s in many.get(name, ())]))
    return [rates, memory]


def cpu(samples: list[Sample]) -> float:
    """Return the median of the CPU seconds a turn."""
    return median(sample.cpu for sample in samples)


def rate(samples: list[Sample]) -> float:
    """Return the median of the turns a second."""
    return median(sample.rate for sample in samples)
