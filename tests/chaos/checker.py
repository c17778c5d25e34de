"""The checks when everything has come to rest: of the turns accepted, the data stored, and the server's own log."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

from tests.chaos import policy_checker
from tests.chaos.findings import Findings
from tests.chaos.policy_checker import Said, said_in
from tests.chaos.record import Entry, visible
from tests.chaos.tenants import POLICIES, tenant_of
from turnstile.turns.errors import UnknownTurn
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.turn import Event, Record


@dataclass(frozen=True, slots=True)
class Remains:
    """The data stored in the end: each history's turns, oldest first, each turn's record and events, and leftovers."""

    histories: Mapping[str, Sequence[str]]
    records: Mapping[str, Record]
    events: Mapping[str, Sequence[Event]]
    left: Sequence[str]
    said: Mapping[str, Sequence[Said]] = field(default_factory=dict)
    """The same of sessions whose questions do not all wait, by the questions of each turn."""


def collect(store: TurnStore, entries: Iterable[Entry]) -> Remains:
    """Read what is stored of these turns and their sessions."""
    turns = {entry.turn: entry.session for entry in entries}
    records, events = {}, {}
    for turn in turns:
        try:
            records[turn] = store.status(turn)
            events[turn] = store.events(turn, count=100_000)
        except UnknownTurn:
            continue
    elements = {session: store.history(session) for session in set(turns.values())}
    histories = {session: history_turns(stored) for session, stored in elements.items() if not _is_impatient(session)}
    said = {session: said_in(stored) for session, stored in elements.items() if _is_impatient(session)}
    return Remains(histories, records, events, [*_left(store), *_audited(store, elements)], said)


def _is_impatient(session: str) -> bool:
    return tenant_of(session) == POLICIES


def _audited(store: TurnStore, sessions: Iterable[str]) -> Iterable[str]:
    """Audit all sessions, as workers do every five minutes; nothing is to be found."""
    restored = store.audit(list(sessions))
    if restored:
        yield f"the audit has found {restored} sessions that nobody would have looked at"


def history_turns(elements: Sequence[bytes]) -> list[str]:
    """Return the turns of a history, oldest first; a name that starts with `?` for messages that are not a turn's two."""
    messages = [json.loads(element) for element in reversed(elements)]
    turns = [str(message.get("turnstile", {}).get("turn")) for message in messages]
    kinds = [message["type"] for message in messages]
    pairs = zip(turns[::2], [*turns[1::2], ""], kinds[::2], [*kinds[1::2], ""], strict=False)
    return [human if human == ai and (a, b) == ("human", "ai") else f"?{human}" for human, ai, a, b in pairs]


def _left(store: TurnStore) -> Iterable[str]:
    keys = store.keys
    names = [keys.session, keys.mailbox, keys.owned, keys.ready, keys.rotation, keys.parked, keys.slots, keys.open_turns]
    names += [keys.open_bytes, keys.schedule, keys.schedules, keys.scheduled_bytes]
    for pattern in (*(name("*") for name in names), keys.batch_slots, keys.schedules_due):
        yield from (f"{key.decode()} is still there" for key in store.client.scan_iter(match=pattern, count=1000))
    if store.client.zcard(keys.due):
        yield f"{store.client.zcard(keys.due)} sessions are still due"
    if store.stats().get("open", 0):
        yield f"the counter of open turns says {store.stats()['open']}"


def check(entries: Mapping[str, Entry], remains: Remains, violations: Iterable[str]) -> Findings:
    """Judge a run. `violations` are what the server's log has shown."""
    found = Findings(others=[*violations, *remains.left])
    for session, turns in remains.histories.items():
        check_history(session, turns, entries, found)
    for session, said in remains.said.items():
        there = [entry for entry in entries.values() if entry.session == session]
        policy_checker.check_session(said, there, remains.records, found)
    for entry in entries.values():
        if entry.session in remains.said:
            _check_impatient(entry, remains, found)
        else:
            _check_turn(entry, remains, found)
    found.fates = [f"{turn} {_fate(entries[turn], remains.records.get(turn))}" for turn in found.lost]
    return found


def _fate(entry: Entry, record: Record | None) -> str:
    end = f"is {record.state} ({record.code}) since {record.finished}" if record else "has no record"
    return f"{end}; sent at {entry.sent}, accepted at {entry.accepted}, in {entry.session}"


def _check_impatient(entry: Entry, remains: Remains, found: Findings) -> None:
    record = remains.records.get(entry.turn)
    if record and record.state.answered:
        _note_events(record, policy_checker.events_fault(record, remains.events.get(entry.turn, ())), found)


def check_history(session: str, turns: Sequence[str], entries: Mapping[str, Entry], found: Findings) -> None:
    """Note what is doubled, misordered or strange in one session's history, oldest turn first."""
    found.doubled += [turn for turn, count in Counter(turns).items() if count > 1]
    latest = -inf
    for turn in turns:
        entry = entries.get(turn)
        if entry is None or entry.session != session:
            found.others.append(f"session {session} holds messages of {turn}, which is none of its turns")
        elif entry.accepted is not None and entry.accepted < latest:
            found.misordered.append(turn)
        if entry:
            latest = max(latest, entry.sent)


def _check_turn(entry: Entry, remains: Remains, found: Findings) -> None:
    record = remains.records.get(entry.turn)
    stored = entry.turn in remains.histories.get(entry.session, ())
    if entry.misread:
        found.others.append(f"{entry.turn}: {entry.misread}")
    if record is None:
        if entry.accepted is not None and not (entry.is_later and entry.revoked):
            found.lost.append(entry.turn)
        elif stored:
            found.others.append(f"{entry.turn} is in its history without a record")
    elif entry.declined:
        found.others.append(f"{entry.turn} was declined, and is {record.state}")
    elif record.state.ended and not record.state.answered and stored:
        found.others.append(f"{entry.turn} is in its history though it is {record.state}")
    elif record.state.answered and stored:
        if visible(entry.schedule or entry.turn) not in (record.answer or "") and not entry.odd:
            found.others.append(f"the answer of {entry.turn} is not whole")
        _note_events(record, events_fault(record, remains.events.get(entry.turn, ())), found)
    elif not _may_end_so(entry, record):
        found.lost.append(entry.turn)


def _may_end_so(entry: Entry, record: Record) -> bool:
    """Return whether a turn need not be in its history: it was called off, or strange from the beginning."""
    allowed = (State.CANCELLED,) if entry.revoked else ()
    return record.state in ((*allowed, State.CANCELLED, State.FAILED) if entry.odd else allowed)


def _note_events(record: Record, wrong: str, found: Findings) -> None:
    if wrong == "ended":
        found.doubled.append(record.id)
    elif wrong:
        found.others.append(f"the events of {record.id}: {wrong}")


def events_fault(record: Record, events: Sequence[Event]) -> str:
    """Return the fault in the events of a completed turn, in words; `ended` when it ended twice, empty when there is none."""
    kinds = [event.type for event in events]
    if kinds.count("ended") > 1:
        return "ended"
    if [event.sequence for event in events] != list(range(1, len(events) + 1)) or record.sequence != len(events):
        return "their sequence has a gap or a repeat"
    if kinds[-1:] != ["ended"]:
        return "the last one is not the end"
    # A claim that was cut short counts as an attempt, and nobody began it.
    started = [event.attempt for event in events if event.type == "started"]
    if started != sorted(set(started)) or started[-1:] != [record.attempts]:
        return "attempts did not start once each, the last one at the end"
    # It may wait for its model before it begins.
    if any(event.attempt not in started for event in events if (event.type, event.attempt) != ("waiting", 0)):
        return "an attempt went on that never started"
    last = [event.data for event in events if event.type == "text" and event.attempt == record.attempts]
    return "" if "".join(last) == record.answer else "the text is not the answer"
