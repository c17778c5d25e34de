"""One look at a deployment, as `turnstile top` shows it: facts as JSON has them."""

from collections.abc import Iterator, Mapping
from typing import Any

from turnstile.producers.metrics.snapshot import Snapshot
from turnstile.turns.counters import split, totals
from turnstile.turns.errors import QueueUnreachable
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore

MOST = 100
"""Running turns that are looked at, and of them those that are listed."""
_SHOWN = 15
_RATES = ("accepted", "completed", "failed", "claimed", "tokens_in", "tokens_out")


def look(store: TurnStore) -> dict[str, Any]:
    """Look once. Raises QueueUnreachable."""
    snapshot, now = Snapshot.take(store), store.now()
    if snapshot is None:
        raise QueueUnreachable("Redis does not answer: check REDIS_URL, and that it runs.")
    found = snapshot.measured
    return {
        "at": now,
        "workers": [_worker(name, facts, now) for name, facts in sorted(snapshot.workers.items())],
        "slots": {"all": snapshot.slots, "busy": snapshot.busy},
        "turns": {"running": found.running, "ready": found.ready, "blocked": found.blocked},
        "oldest_ready_seconds": round(found.oldest, 3),
        "queues": found.queues,
        "running": sorted(_running(store, list(snapshot.workers), now), key=lambda turn: -turn["seconds"])[:_SHOWN],
        "held": store.held(_SHOWN),
        "failures": _by_code(found.counters),
        "returned": _labelled(found.counters, "requeued"),
        "webhooks": {"waiting": found.webhooks, "undelivered": found.undelivered},
        "counts": {name: count for name, count in totals(found.counters).items() if name in _RATES},
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


def _running(store: TurnStore, workers: list[str], now: float) -> Iterator[dict[str, Any]]:
    """Yield turns at work. Others may end meanwhile: those are passed over."""
    keys, client = store.keys, store.client
    sessions = [(worker, name) for worker in workers for name in _some(store, worker)][:MOST]
    with client.pipeline(transaction=False) as pipe:
        for _, session in sessions:
            pipe.hget(keys.session(session), "head")
        heads = [head.decode() if head else "" for head in pipe.execute()]
        for head in heads:
            pipe.hmget(keys.turn(head), ["started", "attempts", "queue", "state"])
        records = pipe.execute()
    for (worker, session), id, record in zip(sessions, heads, records, strict=True):
        started, attempts, queue, state = (value.decode() if value else "" for value in record)
        if started and state == State.RUNNING:
            age = round(max(0.0, now - int(started) / 1000), 1)
            about = {"turn": id, "session": session, "queue": queue, "attempt": int(attempts)}
            yield {**about, "worker": worker, "seconds": age}


def _some(store: TurnStore, worker: str) -> list[str]:
    found: Any = store.client.srandmember(store.keys.owned(worker), MOST)
    return [session.decode() for session in found]


def _by_code(counters: Mapping[str, int]) -> dict[str, int]:
    return _labelled(counters, State.FAILED)


def _labelled(counters: Mapping[str, int], wanted: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, count in counters.items():
        family, labels = split(name)
        if family == wanted and "code" in labels:
            found[labels["code"]] = found.get(labels["code"], 0) + count
    return dict(sorted(found.items(), key=lambda item: -item[1]))
