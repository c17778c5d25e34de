"""Questions of a storm that are asked later, once or at each tick of a cron rule, and the judgement of what became of them.

Their names tell when they were drawn up, so one that is noted again, also by another process, asks for the same time. A rule
is noted as if half an hour ago: its ticks come one after another until they have caught up.
"""

import random
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from tests.chaos.record import CRON, LATER, Entry, Record
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.turn import Record as Turn

RULE, EVERY_MS = "*/5 * * * *", 300_000
_BACK_MS = 1_800_000
# No tick that a rule names while the storm lasts is asked so late that the next one comes before it.
_LATE_MS = 150_000
_LISTED = 1_000
_SOON_MS = 5_000


def named(name: str) -> str:
    """Return the name of what a producer is about to note, with the time where it is to be asked later."""
    return f"{name}-{time.time_ns() // 1_000_000}" if name.startswith((LATER, CRON)) else name


def noted_at(name: str) -> int:
    """Return when a name was drawn up, in ms."""
    return int(name.rpartition("-")[2])


def not_before(name: str) -> float:
    """Return the time before which a turn is not to be asked: always the same for the same name."""
    return noted_at(name) / 1000 + random.Random(f"{name} later").uniform(1, 8)


def begins(name: str) -> float:
    """Return the time from which a rule counts."""
    return (noted_at(name) - _BACK_MS) / 1000


def missed(name: str) -> str:
    """Return what becomes of a rule's missed ticks: always the same for the same name."""
    return random.Random(f"{name} missed").choice(("all", "all", "once", "none"))


def is_overdue(store: TurnStore) -> bool:
    """Return whether anything is still to be asked for a time that has come, or comes in a moment."""
    now = time.time()
    return any(not schedule.cron or schedule.next <= now for schedule in store.schedules(limit=_LISTED))


def remove(store: TurnStore, notes: Record, schedule: str) -> None:
    """Remove what is to be asked later; what it has asked before is noted first."""
    found = store.read_schedule(schedule)
    if found is None:
        return
    if found.cron:
        notes.note("removed", schedule, found.session, time.time(), str(round(found.next * 1000)))
    else:
        notes.note("revoked", schedule, found.session, time.time())
    store.remove_schedule(schedule)


def remove_rules(store: TurnStore, notes: Record) -> None:
    """Remove every rule; a turn that nobody has asked in its time stays, and is told."""
    while found := [schedule.id for schedule in store.schedules(limit=_LISTED) if schedule.cron]:
        for schedule in found:
            remove(store, notes, schedule)


def hurry(store: TurnStore) -> None:
    """Have what was refused asked again within seconds: of itself it would wait for minutes."""
    now = time.time()
    late = [f"{one.session} {one.id}" for one in store.schedules(limit=_LISTED) if one.refused and one.next <= now]
    if late:
        soon = round(now * 1000) + _SOON_MS
        store.client.zadd(store.keys.schedules_due, dict.fromkeys(late, soon), xx=True, lt=True)


def turns_of(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """Return the entries of turns: in place of each rule those that it may have asked, at any time until now."""
    rules = [entry for entry in entries.values() if entry.is_rule]
    now = time.time_ns() // 1_000_000
    asked = [_asked(rule, tick) for rule in rules for tick in range(_first(rule.turn), now, EVERY_MS)]
    return {id: entry for id, entry in entries.items() if not entry.is_rule} | {entry.turn: entry for entry in asked}


def _asked(rule: Entry, tick: int) -> Entry:
    return Entry(f"{rule.turn}-{tick}", rule.session, rule.sent, name=rule.turn, schedule=rule.turn)


def at_their_time(entries: Mapping[str, Entry], turns: Mapping[str, Turn]) -> dict[str, Entry]:
    """Return the entries, with those that were asked later sent and accepted when their records say."""
    return {id: _settled(entry, turns.get(id)) for id, entry in entries.items()}


def _settled(entry: Entry, turn: Turn | None) -> Entry:
    if turn is None or not (entry.schedule or entry.is_later):
        return entry
    return replace(entry, sent=turn.created, accepted=turn.created)


def faults(entries: Iterable[Entry], turns: Mapping[str, Turn]) -> Iterator[str]:
    """Name each question that was asked before its time, and each tick that was asked against its rule, or was not."""
    for entry in entries:
        turn = turns.get(entry.turn)
        if entry.is_later and turn and round(turn.created * 1000) < round(not_before(entry.turn) * 1000):
            yield f"{entry.turn} was asked {not_before(entry.turn) - turn.created:.3f} s before its time"
        elif entry.is_rule:
            yield from _tick_faults(entry, turns)


def _tick_faults(rule: Entry, turns: Mapping[str, Turn]) -> Iterator[str]:
    first, noted, way = _first(rule.turn), noted_at(rule.turn), missed(rule.turn)
    ticks = range(first, time.time_ns() // 1_000_000, EVERY_MS)
    created = {tick: turn.created for tick in ticks if (turn := turns.get(f"{rule.turn}-{tick}"))}
    yield from (f"{rule.turn} was asked before its tick {tick}" for tick, at in created.items() if at * 1000 < tick)
    if rule.removed is None:
        if rule.accepted is not None:
            yield f"{rule.turn} is gone, and nobody has removed it"
        return
    wanted = {"all": {*ticks}, "once": {first, *(tick for tick in ticks if tick > noted + _LATE_MS)}, "none": set()}[way]
    allowed = wanted | {tick for tick in ticks if tick > noted - (60_000 if way == "none" else 0)}
    lacking = {tick for tick in wanted if tick < rule.removed} - created.keys()
    yield from (f"{rule.turn} ({way}) has left out its tick {tick}" for tick in sorted(lacking))
    yield from (f"{rule.turn} ({way}) has asked for its tick {tick}" for tick in sorted(created.keys() - allowed))


def _first(rule: str) -> int:
    """Return the first tick of a rule."""
    return round(begins(rule) * 1000) // EVERY_MS * EVERY_MS + EVERY_MS
