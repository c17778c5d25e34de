"""The counters as the scripts write them: a name, and labels where it has some: `failed{queue="chat",code="rate_limited"}`."""

import re
from collections.abc import Mapping

from turnstile.turns.states import State

REVIVED = "revived"
"""The counter of failed turns that an operator had retried."""
_SUMS = ("ready_ms", "run_ms", "first_text_ms", "steps_made", "cost")
# Beside the counters: times, numbers of the last dispatches, and bounds that only the scripts use.
_NOTES = ("called", "since", "grace", "patience", "set_back_from", "swept", "standing", "slots", "tenants", "budgeted", "known")
_NOTES_OF_QUEUES = ("lined:", "passed:", "sent:", "sent_at:", "served:")
_LABEL = re.compile(r'(\w+)="([^"]*)"')


def split(name: str) -> tuple[str, dict[str, str]]:
    """Return the family and the labels of a counter."""
    family, _, labels = name.partition("{")
    return family, dict(_LABEL.findall(labels))


def totals(counts: Mapping[str, int]) -> dict[str, int]:
    """Return one count for each family, whatever its labels. `failed` goes down when a failed turn is retried."""
    found: dict[str, int] = {}
    for name, count in counts.items():
        family, _ = split(name)
        if family not in _SUMS:
            found[family] = found.get(family, 0) + count
    if REVIVED in found:
        found[State.FAILED] = max(0, found.get(State.FAILED, 0) - found[REVIVED])
    return found


def without_notes(counts: Mapping[str, int]) -> dict[str, int]:
    """Return counts without what only the scripts use."""
    return {name: count for name, count in counts.items() if name not in _NOTES and not name.startswith(_NOTES_OF_QUEUES)}
