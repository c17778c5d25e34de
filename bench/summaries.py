"""Cost of a turn by the length of its session, where workers sum up what falls out of the window.

A program of its own, too: `python -m bench.summaries`.
"""

import tempfile
import time
from collections import defaultdict
from dataclasses import astuple, dataclass
from pathlib import Path

from bench.contestants import Turnstile
from bench.load import question, settled
from bench.machine import Bench, bench
from bench.summing import ENV
from bench.tables import Table, spread
from tests.support.wait import wait_until

LENGTHS = (100, 1_000, 10_000, 100_000)
SESSIONS = 6
ROUNDS = 8
_TURNS = 10
"""Turns of each session in a round: half a window, so that about one summary is made."""
_ADDED = (ROUNDS + 1) * _TURNS * 2
"""Messages that a session has more in the end: the longest have as many as a session may have by default."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of one turn, with its share of a summary."""

    worker_ms: float
    server_ms: float
    kilobytes: float
    wall_ms: float
    summaries: float


def run(setting: Bench) -> tuple[Table, float]:
    """Return the costs, and the ratio of the longest to the shortest."""
    found: dict[int, list[Cost]] = defaultdict(list)
    with Turnstile(setting, 20, **ENV) as who:
        who.ready()
        names = {length: who.fill(SESSIONS, min(length, LENGTHS[-1] - _ADDED)) for length in LENGTHS}
        for number in range(-1, ROUNDS):
            for length in LENGTHS:
                cost = _round(who, names[length])
                if number >= 0:
                    found[length].append(cost)
    # The kernel counts CPU in steps that are long for one round.
    first, *_, last = (sum(cost.worker_ms for cost in found[length]) for length in LENGTHS)
    return _table(found), last / first


def _table(found: dict[int, list[Cost]]) -> Table:
    table = Table(
        "Cost of a turn by the length of its session, with summaries",
        f"Windows of 40 messages with a summary of all before them; {SESSIONS} sessions of each length, {_TURNS} turns of each "
        f"in a round, {ROUNDS} rounds in turn after one to begin with; the longest sessions reach their length in the last. "
        "Calls that sum up are in the cost; bytes are those to and from Redis.",
        ("messages in the session", "worker, CPU ms", "Redis, CPU ms", "KB", "wall ms", "summaries a turn"),
    )
    for length, costs in found.items():
        worker, server, kilobytes, wall, summaries = zip(*map(astuple, costs), strict=True)
        figures = (
            spread(worker, digits=2),
            spread(server, digits=2),
            spread(kilobytes),
            spread(wall),
            spread(summaries, digits=2),
        )
        table.add(f"{length:,}", *figures)
    return table


def _round(who: Turnstile, names: list[str]) -> Cost:
    asked = [name for _ in range(_TURNS) for name in names]
    turns, base = len(asked), who.bench.answered()
    cpu, server, carried, began = who.usage().cpu, _cpu(who), _bytes(who), time.monotonic()
    who.ask(asked, question(0))
    wait_until(lambda: who.bench.answered() - base >= turns, "the turns are answered", 300)
    took = time.monotonic() - began
    cpu = settled(who) - cpu
    return Cost(
        cpu / turns * 1000,
        (_cpu(who) - server) / turns * 1000,
        (_bytes(who) - carried) / turns / 1000,
        took / turns * 1000,
        (who.bench.answered() - base - turns) / turns,
    )


def _cpu(who: Turnstile) -> float:
    info = who.client.info("cpu")
    return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])


def _bytes(who: Turnstile) -> int:
    info = who.client.info("stats")
    return int(info["total_net_input_bytes"]) + int(info["total_net_output_bytes"])


def main() -> None:
    """Measure, and print the table."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, bench(Path(folder)) as setting:
        table, ratio = run(setting)
    print(table.text())
    print(table.markdown())
    print(f"\n{ratio:.2f}, {(time.monotonic() - began) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
