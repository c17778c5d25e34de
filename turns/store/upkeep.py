"""The role of upkeep: what is overdue is set going again, and what was lost or miscounted is set right."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from turnstile.turns.celery_message import refused_result
from turnstile.turns.errors import TurnRefused
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


class Upkeep(Runner):
    """Operations that keep the queue moving, and its counters."""

    @operation
    def sweep(self, limit: int = 100, worker: str = "") -> Call[Swept]:
        """Set overdue sessions going again, at most `limit`. A worker that sweeps names itself: it is heard."""
        return script_call("sweep", lambda reply: Swept(*reply), limit=limit, worker=worker)

    @operation
    def sweep_erased(self) -> Call[bool]:
        """Remove the next piece of what is left of erased sessions; True while there is more."""
        return script_call("sweep_erased", bool)

    @operation
    def reap(self, worker: str) -> Call[int]:
        """Tell that a worker is alive, and end the leases of those that are dead; how many."""
        return script_call("reap", int, worker=worker, absence=_ABSENCE_MS)

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
        """Return the counters, by name; `open` is how many turns have not ended."""
        return script_call("stats", _read_counts)

    @operation
    def now(self) -> Call[float]:
        """Return the server's time, the only one that counts: seconds since the epoch."""
        return Call("TIME", (), lambda reply: int(reply[0]) + int(reply[1]) / 1e6)


_REFUSE = OneOf("refuse", refused=always(True), taken=always(False))


def _read_counts(reply: Any) -> dict[str, int]:
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    return {as_text(name): int(value) for name, value in pairs}
