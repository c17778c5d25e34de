"""How an attempt at a turn went."""

from dataclasses import dataclass

from turnstile.turns.store.turns import Outcome

REQUEUED = "requeued"
LOST = "lost"
STALE = "stale"


@dataclass(frozen=True, slots=True)
class Report:
    """`word` is the turn's final state, or `requeued`, `cancelled`, `lost` or `stale`; `outcome` is how it ended, if it did."""

    word: str
    outcome: Outcome | None = None
