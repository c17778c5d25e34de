"""Checks of sessions that stand still, and of records that stay for ever."""

import time
from collections.abc import Callable, Iterator

from turnstile.producers.cli.doctor.check import Check, Verdict
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.runner import Call
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.text import as_text

OVERDUE_SECONDS = 30.0
SECOND_LOOK_SECONDS = 2.0

LOOKED_AT = 100
_NAMED = 3
_SCANS = 20
_ENDED_BEFORE = 60.0
_UNFINISHED = {State.QUEUED.encode(), State.RUNNING.encode()}


def check_sessions(store: TurnStore, pause: float = SECOND_LOOK_SECONDS) -> Check:
    """Find sessions that nobody sets going again."""
    advice = "No worker sweeps: start one, or restart those at work and read their logs."
    return stalled("sessions", "due", lambda: (_overdue(store), _lost(store)), advice, pause) or Check(
        "sessions", Verdict.OK, "none stands still"
    )


def stalled(name: str, index: str, look: Callable[[], tuple[set[str], set[str]]], advice: str, pause: float) -> Check | None:
    """Return the fault of those that two looks find overdue, or without an entry in an index: one may catch a worker at it."""
    overdue, lost = look()
    if overdue or lost:
        time.sleep(pause)
        overdue, lost = (first & again for first, again in zip((overdue, lost), look(), strict=True))
    if lost:
        given_back = "`turnstile audit` gives the entries back, as workers do within five minutes."
        return Check(name, Verdict.FAIL, f"{len(lost)} without an entry in `{index}`: {_named(lost)}", given_back)
    if overdue:
        detail = f"{_counted(overdue)} overdue by more than {OVERDUE_SECONDS:.0f} s: {_named(overdue)}"
        return Check(name, Verdict.FAIL, detail, advice)
    return None


def _overdue(store: TurnStore) -> set[str]:
    until = (store.now() - OVERDUE_SECONDS) * 1000
    call = Call("ZRANGE", (store.keys.due, "-inf", until, "BYSCORE", "LIMIT", 0, LOOKED_AT), list)
    return {as_text(session) for session in store.run(call)}


def _lost(store: TurnStore) -> set[str]:
    """Return the sessions of the oldest open turns that have no entry in `due`."""
    found = set()
    for id in store.run(Call("ZRANGE", (store.keys.open, 0, LOOKED_AT - 1), list)):
        state, session = store.run(Call("HMGET", (store.keys.turn(as_text(id)), "state", "session"), list))
        if state in _UNFINISHED and store.run(Call("ZSCORE", (store.keys.due, session), lambda score: score)) is None:
            found.add(as_text(session))
    return found


def _counted(sessions: set[str]) -> str:
    """Return their number, in words where it may be higher."""
    return f"{len(sessions)}{' or more' if len(sessions) == LOOKED_AT else ''}"


def _named(sessions: set[str]) -> str:
    """Return the names of some."""
    return ", ".join(sorted(sessions)[:_NAMED]) + (", …" if len(sessions) > _NAMED else "")


def check_lifetimes(store: TurnStore) -> Check:
    """Check that the records of ended turns go by themselves, by a sample of them."""
    settings = store.settings
    if lasting := [id for id in _ended(store) if store.run(Call("PTTL", (store.keys.turn(id),), int)) == -1]:
        detail = f"{len(lasting)} of {LOOKED_AT} records that were looked at never expire, such as that of turn {lasting[0]}"
        advice = f"Something persisted them: `EXPIRE {store.keys.turn(lasting[0])} {settings.result_ttl:.0f}`, and so for each."
        return Check("lifetimes", Verdict.WARN, detail, advice)
    return Check("lifetimes", Verdict.OK, _lifetimes(settings))


def _ended(store: TurnStore) -> Iterator[str]:
    """Yield a sample of the turns that ended a while ago: whose end is still being carried out has no time to live yet."""
    before = (store.now() - _ENDED_BEFORE) * 1000
    cursor, found, prefix = 0, 0, store.keys.turn()
    for _ in range(_SCANS):
        cursor, names = store.run(Call("SCAN", (cursor, "MATCH", f"{prefix}*", "COUNT", 1_000), lambda reply: reply))
        for name in names[: LOOKED_AT - found]:
            found += 1
            state, finished = store.run(Call("HMGET", (name, "state", "finished"), list))
            if state not in _UNFINISHED and finished and float(finished) < before:
                yield as_text(name).removeprefix(prefix)
        if not int(cursor) or found >= LOOKED_AT:
            return


def _lifetimes(settings: Settings) -> str:
    history = f"{settings.history_ttl:,.0f} s" if settings.history_ttl else "for ever"
    return (
        f"turns {settings.result_ttl:,.0f} s, failed ones {settings.failed_ttl:,.0f} s, streams {settings.events_ttl:,.0f} s, "
        f"histories {history}"
    )
