"""Results of an attempt at a turn."""

from dataclasses import dataclass
from enum import Enum

from turnstile.turns.store.working import Outcome

REQUEUED = "requeued"
LOST = "lost"
STALE = "stale"


@dataclass(frozen=True, slots=True)
class Report:
    """An attempt's end: `status` is the turn's final state, or `requeued`, `cancelled`, `lost` or `stale`.

    `outcome` is set if the turn ended.
    """

    status: str
    outcome: Outcome | None = None


class End(Enum):
    """An end of an attempt that is no answer and no failure, as the task returns it.

    Celery's own way, to raise Ignore or Retry, writes two tracebacks, which cost as much as a whole turn. A client that leaves
    hundreds of streams at once made a worker write hundreds.
    """

    CANCELLED = "cancelled"
    REQUEUED = "requeued"
    UNTOLD = "untold"
    """Another attempt has told of it, or will."""
