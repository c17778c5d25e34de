"""The check of schedules that nobody asks."""

from collections.abc import Iterator
from contextlib import suppress

from turnstile.producers.cli.doctor.check import Check, Verdict
from turnstile.producers.cli.doctor.session_checks import LOOKED_AT, OVERDUE_SECONDS, SECOND_LOOK_SECONDS, stalled
from turnstile.turns.errors import BrokenRecord
from turnstile.turns.store.runner import Call
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.text import as_text

_SCANS = 20


def check_schedules(store: TurnStore, pause: float = SECOND_LOOK_SECONDS) -> Check:
    """Find schedules that nobody asks."""
    advice = "No worker asks: start one, or restart those at work and read their logs."
    if fault := stalled("schedules", "schedules_due", lambda: (_overdue(store), _lost(store)), advice, pause):
        return fault
    return Check("schedules", Verdict.OK, f"{store.run(Call('ZCARD', (store.keys.schedules_due,), int)):,}, none overdue")


def _overdue(store: TurnStore) -> set[str]:
    until = (store.now() - OVERDUE_SECONDS) * 1000
    call = Call("ZRANGE", (store.keys.schedules_due, "-inf", until, "BYSCORE", "LIMIT", 0, LOOKED_AT), list)
    return {as_text(entry).rpartition(" ")[2] for entry in store.run(call)}


def _lost(store: TurnStore) -> set[str]:
    """Return those of a sample that have no entry in `schedules_due`."""
    found = set()
    for id in _some(store):
        with suppress(BrokenRecord):
            if (session := store.session_of_schedule(id)) and not _is_due(store, f"{session} {id}"):
                found.add(id)
    return found


def _is_due(store: TurnStore, entry: str) -> bool:
    return store.run(Call("ZSCORE", (store.keys.schedules_due, entry), lambda score: score is not None))


def _some(store: TurnStore) -> Iterator[str]:
    cursor, found, prefix = 0, 0, store.keys.schedule()
    for _ in range(_SCANS):
        cursor, names = store.run(Call("SCAN", (cursor, "MATCH", f"{prefix}*", "COUNT", 1_000), lambda reply: reply))
        yield from (as_text(name).removeprefix(prefix) for name in names[: LOOKED_AT - found])
        found += len(names)
        if not int(cursor) or found >= LOOKED_AT:
            return
