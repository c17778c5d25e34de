"""The role of upkeep: what is overdue is set going again, and what was lost or miscounted is set right."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from turnstile.turns.celery_message import refused_result
from turnstile.turns.counters import totals
from turnstile.turns.errors import TurnRefused
from turnstile.turns.model_names import model_of
from turnstile.turns.prices import MILLION
from turnstile.turns.store.replies import OneOf, always
from turnstile.turns.store.runner import Call, Runner, operation, script_call
from turnstile.turns.text import as_text

# Workers are heard every 200 ms. Shorter than this is a busy worker that reconnects, not a death.
_ABSENCE_MS = 600


@dataclass(frozen=True, slots=True)
class Swept:
    """The work of one sweep: how many sessions it looked at, and how many turns it set going or gave up."""

    seen: int
    retried: int
    redispatched: int
    recovered: int
    failed: int
    expired: int = 0
    """Held sessions whose open calls nobody answered in time."""
    models: tuple[str, ...] = ()
    """Models whose budgets are kept now, or that are paused."""

    @classmethod
    def decode(cls, reply: Sequence[Any]) -> Self:
        """Read `sweep`'s reply."""
        seen, retried, redispatched, recovered, failed, expired, *models = reply
        return cls(seen, retried, redispatched, recovered, failed, expired, tuple(map(as_text, models)))


@dataclass(frozen=True, slots=True)
class ModelWait:
    """The turns that wait for a place in a model's budget, and for how long the first of them has."""

    model: str
    turns: int
    seconds: float

    @classmethod
    def decode(cls, model: bytes, turns: int, ms: float) -> Self:
        """Read one row of `measure`'s reply."""
        return cls(model_of(as_text(model)), turns, ms / 1000)


@dataclass(frozen=True, slots=True)
class Measured:
    """The counters, by the names that the scripts give them (`turnstile.turns.counters`), and what is there now."""

    counters: dict[str, int]
    open: int
    """Turns that have not ended."""
    running: int
    ready: int
    """Turns that could run: they wait for a worker, or out a delay before their next attempt."""
    held: int
    """Sessions that wait for answers to open calls."""
    failed: int
    """Failed turns that can be retried."""
    webhooks: int
    undelivered: int
    oldest: float
    """The longest wait of a turn that could run, in seconds."""
    queues: dict[str, int]
    """Dispatches on each queue."""
    waits: Sequence[ModelWait] = ()
    """Models that have a budget now."""

    @property
    def blocked(self) -> int:
        """Turns that wait for an earlier one of their session."""
        return max(0, self.open - self.running - self.ready)

    @classmethod
    def decode(cls, reply: Any) -> Self:
        """Read `measure`'s reply."""
        counters, found = map(_read_counts, reply[:2])
        heads = max(0, found["due"] - found["held"])
        return cls(
            counters=counters,
            open=found["open"],
            running=found["running"],
            ready=max(0, min(heads, found["open"]) - found["running"]),
            held=found["held"],
            failed=found["failed"],
            webhooks=found["webhooks"],
            undelivered=found["undelivered"],
            oldest=found["oldest"] / 1000,
            queues={name.removeprefix("queue:"): count for name, count in found.items() if name.startswith("queue:")},
            waits=[ModelWait.decode(*row) for rows in reply[2:] for row in rows],
        )


@dataclass(frozen=True, slots=True)
class Tenant:
    """The turns and slots that a tenant has now, and its spending since midnight, UTC."""

    name: str
    at: float
    """When one of its turns was dispatched last, in seconds since the epoch."""
    unfinished: int
    slots: int
    tokens: int
    cost: float
    turns: int
    streams: int
    conversations: int
    """Those that are known: where a key limits their number."""
    stored_bytes: int
    unfinished_bytes: int
    """Bytes that its unfinished turns ask, those over 1 KiB."""
    quotas: dict[str, float]
    """Those of the key that was used last."""

    @classmethod
    def decode(cls, name: bytes, at: bytes, *more: Any) -> Self:
        """Read one row of the script's reply."""
        unfinished, slots, tokens, cost, turns, streams, conversations, stored, asked, quotas = more
        may = {name: most / MILLION if name.startswith("spend") else most for name, most in json.loads(quotas).items()}
        used = int(tokens), int(cost) / MILLION, int(turns)
        kept = streams, conversations, int(stored), int(asked)
        return cls(as_text(name), float(at) / 1000, unfinished, slots, *used, *kept, may)


class Upkeep(Runner):
    """Operations that keep the queue moving, and its counters."""

    @operation
    def sweep(self, limit: int = 100, worker: str = "") -> Call[Swept]:
        """Set overdue sessions going again, at most `limit`. A worker that sweeps names itself: it is heard."""
        return script_call("sweep", Swept.decode, limit=limit, worker=worker)

    @operation
    def sweep_erased(self) -> Call[bool]:
        """Remove the next piece of what is left of erased sessions; True while there is more."""
        return script_call("sweep_erased", bool)

    @operation
    def reap(self, worker: str) -> Call[int]:
        """Tell that a worker is alive, and end the leases of those that are dead; how many."""
        return script_call("reap", int, worker=worker, absence=_ABSENCE_MS)

    @operation
    def begin_audit(self, seconds: float) -> Call[bool]:
        """Take the audit for so long; False: another worker has it, or had it of late."""
        return script_call("begin_audit", bool, ms=round(seconds * 1000))

    @operation
    def audit(self, sessions: Sequence[str]) -> Call[int]:
        """Give these sessions their due entries back, those that are not idle, and set right which turns are counted as open.

        Returns how many had no due entry.
        """
        return script_call("audit", int, sessions=sessions)

    @operation
    def refuse(self, ids: Sequence[str], error: TurnRefused) -> Call[bool]:
        """Tell plain Celery apps, who wait for the results of these task ids, why the first is no turn.

        False: there is a turn of that id, and its result stays.
        """
        return script_call("refuse", _REFUSE, ids=ids, results=[refused_result(id, error) for id in ids])

    @operation
    def count(self, name: str) -> Call[int]:
        """Add one to a counter."""
        return Call("HINCRBY", (self.keys.stats, name, 1), int)

    @operation
    def stats(self) -> Call[dict[str, int]]:
        """Return the counters, by name; `open` is how many turns have not ended, `failed` how many failed and stayed so.

        `ready:chat` is how many wait in tenants' lines for the queue `chat`.
        """
        return script_call("stats", lambda reply: totals(_read_counts(reply)))

    @operation
    def tenants(self, limit: int = 1_000) -> Call[list[Tenant]]:
        """Return the tenants that had turns of late, newest first, at most `limit`."""

        def read(reply: list[Any]) -> list[Tenant]:
            return [Tenant.decode(*reply[place : place + 12]) for place in range(0, len(reply), 12)]

        return script_call("tenants", read, limit=limit)

    @operation
    def measure(self) -> Call[Measured]:
        """Return all counters with their labels, and what is there now."""
        return script_call("measure", Measured.decode)

    @operation
    def memory(self) -> Call[dict[str, str]]:
        """Return what the server tells of its memory."""
        return Call("INFO", ("memory",), _read_info)

    @operation
    def info(self) -> Call[dict[str, str]]:
        """Return what the server tells of itself."""
        return Call("INFO", (), _read_info)

    @operation
    def ping(self) -> Call[bool]:
        """Ask whether Redis answers."""
        return Call("PING", (), bool)

    @operation
    def now(self) -> Call[float]:
        """Return the server's time, the only one that counts: seconds since the epoch."""
        return Call("TIME", (), lambda reply: int(reply[0]) + int(reply[1]) / 1e6)


_REFUSE = OneOf("refuse", refused=always(True), taken=always(False))


def _read_info(reply: Any) -> dict[str, str]:
    if isinstance(reply, dict):
        return {str(name): _info_text(value) for name, value in reply.items()}
    lines = bytes(reply).decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _info_text(value: Any) -> str:
    """Return a value as the server wrote it; redis-py makes a dictionary of one with parts."""
    return ",".join(f"{name}={part}" for name, part in value.items()) if isinstance(value, dict) else str(value)


def _read_counts(reply: Any) -> dict[str, int]:
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    return {as_text(name): int(value) for name, value in pairs}
