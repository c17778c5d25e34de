"""The last hour by minutes, as plots show it."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from turnstile.turns.prices import MILLION
from turnstile.turns.store.overviews import Minute

_LONGEST = 180.0
"""Seconds between two notes that belong together; without a worker, nothing is noted."""


def last_hour(minutes: Sequence[Minute]) -> list[dict[str, float]]:
    """Return a point for each minute: what was there, and what was counted since the one before it, a minute."""
    return list(_points(minutes))


def _points(minutes: Sequence[Minute]) -> Iterator[dict[str, float]]:
    for before, after in pairwise(minutes):
        if 0 < after.at - before.at <= _LONGEST:
            yield _point(before, after)


def _point(before: Minute, after: Minute) -> dict[str, float]:
    now, counted = after.measured, after.measured.counters

    def more(*names: str) -> float:
        return sum(max(0, counted.get(name, 0) - before.measured.counters.get(name, 0)) for name in names)

    def each_minute(*names: str) -> float:
        return round(more(*names) * 60 / (after.at - before.at), 2)

    return {
        "at": round(after.at, 1),
        "running": now.running,
        "ready": now.ready,
        "blocked": now.blocked,
        "held": now.held,
        "slots": counted.get("slots", 0),
        "accepted": each_minute("accepted"),
        "completed": each_minute("completed", "incomplete"),
        "failed": each_minute("failed"),
        "returned": each_minute("requeued"),
        "tokens": each_minute("tokens_in", "tokens_out"),
        "cost": each_minute("cost") / MILLION,
        "ready_seconds": round(more("ready_ms") / 1000 / (more("claimed") or 1), 3),
    }
