"""One look at a deployment: facts as JSON has them, without a question or an answer."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from turnstile.producers.metrics.snapshot import Snapshot
from turnstile.producers.overview.last_hour import last_hour
from turnstile.turns.api_keys import DEFAULT_TENANT
from turnstile.turns.counters import split, totals
from turnstile.turns.errors import QueueUnreachable
from turnstile.turns.prices import MILLION
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore

_SHOWN = 20
"""Turns, sessions, budgets and tenants that are listed of each kind."""
_RATES = ("accepted", "completed", "failed", "claimed", "tokens_in", "tokens_out")
_LISTED = ("running", "waiting", "failed", "held", "budgets")


def look(store: TurnStore) -> dict[str, Any]:
    """Look once. Raises QueueUnreachable."""
    snapshot = Snapshot.take(store)
    if snapshot is None:
        raise QueueUnreachable("Redis does not answer: check REDIS_URL, and that it runs.")
    found, seen = snapshot.measured, store.overview(_SHOWN)
    return {
        "at": seen.at,
        "workers": [_worker(name, facts, seen.at) for name, facts in sorted(snapshot.workers.items())],
        "slots": {"all": snapshot.slots, "busy": snapshot.busy},
        "turns": {"running": found.running, "ready": found.ready, "blocked": found.blocked, "held": found.held},
        "oldest_ready_seconds": round(found.oldest, 3),
        "queues": found.queues,
        **{kind: [asdict(one) for one in getattr(seen, kind)] for kind in _LISTED},
        "tenants": [asdict(tenant) | {"name": tenant.name or DEFAULT_TENANT} for tenant in store.tenants(_SHOWN)],
        "failures": _by_code(found.counters, State.FAILED),
        "returned": _by_code(found.counters, "requeued"),
        "webhooks": {"waiting": found.webhooks, "undelivered": found.undelivered},
        "counts": _counts(found.counters),
        "last_hour": last_hour(seen.minutes),
        "redis_latency_ms": round(snapshot.latency * 1000, 2),
    }


def rates(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, float]:
    """Return what was counted between two looks, a second."""
    seconds = max(0.001, after["at"] - before["at"])
    return {name: max(0, count - before["counts"].get(name, 0)) / seconds for name, count in after["counts"].items()}


def _worker(name: str, facts: Mapping[str, Any], now: float) -> dict[str, Any]:
    return {
        "name": name,
        "version": facts.get("version", ""),
        "slots": int(facts.get("concurrency", 0)),
        "busy": int(facts.get("running", 0)),
        "seconds": round(max(0.0, now - float(facts.get("started", now)))),
        "hangs": list(facts.get("stale", ())),
    }


def _counts(counters: Mapping[str, int]) -> dict[str, float]:
    counts: dict[str, float] = {name: count for name, count in totals(counters).items() if name in _RATES}
    paid = sum(count for name, count in counters.items() if split(name)[0] == "cost")
    return counts | ({"cost": paid / MILLION} if paid else {})


def _by_code(counters: Mapping[str, int], wanted: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, count in counters.items():
        family, labels = split(name)
        if family == wanted and "code" in labels:
            found[labels["code"]] = found.get(labels["code"], 0) + count
    return dict(sorted(found.items(), key=lambda item: -item[1]))
