"""One worker process and two, until the cores run out."""

from collections import defaultdict
from contextlib import ExitStack

from bench.contestants import Turnstile
from bench.load import measure
from bench.machine import Bench
from bench.tables import Table, spread

TURNS = 800
ROUNDS = 2


def run(bench: Bench) -> Table:
    """Measure the same load on one process and on two, in turn."""
    table = Table(
        "Worker processes",
        "100 turns in flight in each process, the model answers at once. Model, Redis and producer share the machine's cores "
        "with the workers, so a second process has what those leave.",
        ("processes", "turns/s", "CPU ms a turn"),
    )
    rates: dict[int, list[float]] = defaultdict(list)
    costs: dict[int, list[float]] = defaultdict(list)
    with ExitStack() as stack:
        everyone = {count: stack.enter_context(Turnstile(bench, 100, count)) for count in (1, 2)}
        for who in everyone.values():
            who.ready()
            measure(who, 100, 0)
        for _ in range(ROUNDS):
            for count, who in everyone.items():
                sample = measure(who, TURNS, 0)
                rates[count].append(sample.rate)
                costs[count].append(sample.cpu * 1000)
    for count in everyone:
        table.add(str(count), spread(rates[count]), spread(costs[count], digits=2))
    return table
