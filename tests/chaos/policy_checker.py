"""The checks of sessions whose questions do not all wait: who shares a turn, in what order, and what became of the others."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import inf

from tests.chaos.findings import Findings
from tests.chaos.record import Entry, visible
from tests.chaos.tenants import is_stored, policy
from turnstile.turns.policies import INTERRUPTED
from turnstile.turns.states import State
from turnstile.turns.turn import Event, Record

_ASKED = re.compile(r"What of (\S+)\?")


@dataclass(frozen=True, slots=True)
class Said:
    """The messages that one turn has added to a history: its questions, by their turns, and its answers."""

    turn: str
    asked: Sequence[str]
    answers: Sequence[str]
    in_order: bool
    """True where the questions come first."""


def said_in(elements: Sequence[bytes]) -> list[Said]:
    """Return what the turns of a history have added, oldest first."""
    messages = [json.loads(element) for element in reversed(elements)]
    return [_said(turn, list(group)) for turn, group in groupby(messages, lambda one: str(one["turnstile"].get("turn")))]


def _said(turn: str, messages: Sequence[Mapping[str, Mapping[str, str]]]) -> Said:
    told = [(str(message["type"]), str(message["data"]["content"])) for message in messages]
    asked = [found[1] if (found := _ASKED.search(text)) else "?" for kind, text in told if kind == "human"]
    answers = [text for kind, text in told if kind != "human"]
    kinds = [kind for kind, _ in told]
    return Said(turn, asked, answers, kinds == sorted(kinds, key=lambda kind: kind != "human"))


def check_session(said: Sequence[Said], entries: Iterable[Entry], records: Mapping[str, Record], found: Findings) -> None:
    """Judge one session: `entries` are all that were asked there."""
    for turn in said:
        found.others += [f"{turn.turn} {fault}" for fault in _group_faults(turn, records)]
    stored = Counter(id for turn in said for id in turn.asked)
    found.doubled += [id for id, count in stored.items() if count > 1]
    asked = {entry.turn: entry for entry in entries}
    found.others += [f"{id} is in the history of a session where it was not asked" for id in stored if id not in asked]
    found.misordered += _misordered([asked[id] for turn in said for id in turn.asked if id in asked])
    for entry in asked.values():
        _check_entry(entry, stored[entry.turn], asked, records, found)


def _group_faults(said: Said, records: Mapping[str, Record]) -> Iterator[str]:
    """Tell what is wrong with the messages of a turn, given its record."""
    record = records.get(said.turn)
    if record is None or not record.state.answered:
        yield f"is in its history, though it is {record.state if record else 'unknown'}"
        return
    members = [id for id in record.members if id in records and records[id].merged == said.turn]
    if [*said.asked] != [said.turn, *members]:
        yield f"has the questions {said.asked} in its history, and answers those of {record.members}"
    answer = record.text
    if not said.in_order or [*said.answers] != ([answer] if answer else []):
        yield "has another answer in its history than in its record"
    if record.state is State.COMPLETED and visible(said.asked[-1]) not in answer:
        yield "has an answer that is not whole"
    if record.state is State.INCOMPLETE and record.code != INTERRUPTED:
        yield f"is incomplete: {record.code}"


def _misordered(asked: Sequence[Entry]) -> Iterator[str]:
    latest = -inf
    for entry in asked:
        if policy(entry.turn) == "steer":
            continue
        if entry.accepted is not None and entry.accepted < latest:
            yield entry.turn
        latest = max(latest, entry.sent)


def _check_entry(entry: Entry, stored: int, asked: Mapping[str, Entry], records: Mapping[str, Record], found: Findings) -> None:
    record = records.get(entry.turn)
    if record is None:
        if entry.accepted is not None and not (entry.is_later and entry.revoked):
            found.lost.append(entry.turn)
        return
    if entry.declined:
        found.others.append(f"{entry.turn} was declined, and is {record.state}")
    elif record.state.answered:
        if is_stored(entry.turn):
            found.lost += [] if stored else [entry.turn]
        elif stored:
            found.others.append(f"{entry.turn} is in the history, which it was to leave as it is")
        head = records.get(record.merged or "", record)
        if (record.state, record.text, record.code) != (head.state, head.text, head.code):
            found.others.append(f"{entry.turn} has not ended as {head.id}, whose answer is its own")
        if record.state is State.INCOMPLETE and not _asked_after(head, asked, "interrupt"):
            found.others.append(f"{entry.turn} was interrupted by nobody")
    elif not _may_be_cancelled(record, asked, records):
        found.lost.append(entry.turn)


def _may_be_cancelled(record: Record, asked: Mapping[str, Entry], records: Mapping[str, Record]) -> bool:
    head = records.get(record.merged or "", record)
    revoked = any(asked[id].revoked for id in (head.id, *head.members, record.id) if id in asked)
    return record.state is State.CANCELLED and (revoked or _asked_after(head, asked, "rollback"))


def _asked_after(head: Record, asked: Mapping[str, Entry], way: str) -> bool:
    """Return whether a question that stops what is under way was asked after this turn, and before its end."""
    ended = head.finished or inf
    return any(policy(id) == way and not entry.declined and entry.sent <= ended for id, entry in asked.items() if id != head.id)


def events_fault(record: Record, events: Sequence[Event]) -> str:
    """Return the fault in the events of a turn that may have been steered, or merged; `ended` when it ended twice."""
    kinds = [event.type for event in events]
    if kinds.count("ended") > 1:
        return "ended"
    if [event.sequence for event in events] != list(range(1, len(events) + 1)):
        return "their sequence has a gap or a repeat"
    if kinds[-1:] != ["ended"]:
        return "the last one is not the end"
    if record.merged:
        return "" if "text" not in kinds and kinds.count("merged") == 1 else "a merged turn has an answer of its own"
    begun = max(place for place, kind in enumerate(kinds) if kind == "started")
    text = "".join(event.data for event in events[begun:] if event.type == "text")
    return "" if text == record.text else "the text is not the answer"
