"""Results of an attempt at a turn."""

from dataclasses import dataclass

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
