"""Checks of the turns and their counters."""

from collections.abc import Mapping

from turnstile.producers.cli.doctor.check import Check, Verdict
from turnstile.turns.store.runner import Call
from turnstile.turns.store.turns import TurnStore

_CHECKED_TURNS = 100


def check_turns(store: TurnStore) -> Check:
    """Count the open and the failed turns, and check the counters."""
    counts, failed = store.stats(), store.run(Call("ZCARD", (store.keys.failed,), int))
    held = f"{counts['held']:,} sessions held, " if counts.get("held") else ""
    detail = f"{counts.get('open', 0):,} open, {held}{counts.get('completed', 0):,} completed, {failed:,} failed and kept"
    if wrong := _wrong_count(store, counts):
        advice = "`turnstile audit` corrects it, as workers do within five minutes."
        return Check("turns", Verdict.WARN, f"{detail}; {wrong}", advice)
    if failed:
        return Check("turns", Verdict.WARN, detail, "See `turnstile failed`; `turnstile failed --retry` requeues them.")
    return Check("turns", Verdict.OK, detail)


def _wrong_count(store: TurnStore, counts: Mapping[str, int]) -> str:
    """Return the fault of a count that cannot be right; of the open turns, the oldest are checked."""
    if negative := [name for name, count in counts.items() if count < 0]:
        return f"the count {negative[0]} is below zero"
    longest = store.run(Call("ZRANGE", (store.keys.open, 0, _CHECKED_TURNS - 1), list))
    states = (store.run(Call("HGET", (store.keys.turn(id.decode()), "state"), lambda state: state)) for id in longest)
    ended = sum(state not in (b"queued", b"running") for state in states)
    return f"{ended:,} that count as open have ended" if ended else ""
