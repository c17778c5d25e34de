"""The checker of sessions whose questions do not all wait finds what is wrong there."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from tests.chaos import crowds, tenants
from tests.chaos.checker import Remains, check, collect
from tests.chaos.findings import Findings
from tests.chaos.journal import Attempt
from tests.chaos.policy_checker import Said, events_fault
from tests.chaos.record import Entry, question, read
from tests.chaos.record import Record as SubmissionRecord
from tests.support.step_worker import StepWorker, element
from turnstile.turns.output import said
from turnstile.turns.redis.keys import Keys
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.store.working import Outcome

SESSION = f"{tenants.POLICIES}/s1"


def _of(way: str, start: int = 1) -> str:
    """Return the first stored turn from a number on that has a policy."""
    names = (f"{tenants.POLICIES}-0-{n}" for n in count(start))
    return next(id for id in names if tenants.policy(id) == way and tenants.is_stored(id))


FIRST, SECOND, LAST = _of("queue"), _of("merge"), _of("reject")
ENTRIES = {id: Entry(id, SESSION, sent=n, accepted=n + 0.5) for n, id in enumerate((FIRST, SECOND, LAST))}


@pytest.fixture
def remains(store: TurnStore, settings: Settings) -> Remains:
    """Return the data of two turns that were merged, and of one after them."""
    for id in (FIRST, SECOND):
        store.submit(id, SESSION, question(id), when_busy="merge")
    store.submit(LAST, SESSION, question(LAST))
    worker = StepWorker(settings)
    claim = worker.take()
    assert store.merge(claim)
    answer = f"You said: {question(SECOND)}"
    messages = [
        element("human", question(FIRST), FIRST),
        element("human", question(SECOND), FIRST),
        element("ai", answer, FIRST),
    ]
    store.finish(claim, Outcome(State.COMPLETED, said(answer)), messages, after=claim.sequence, text=answer)
    last, answer = worker.take(), f"You said: {question(LAST)}"
    worker.say(last, answer)
    worker.answer(last, answer)
    return collect(store, ENTRIES.values())


def _judge(remains: Remains, entries: Mapping[str, Entry] = ENTRIES) -> Findings:
    return check(entries, remains, [])


def test_good_turns_are_clean(remains: Remains) -> None:
    assert [turn.asked for turn in remains.said[SESSION]] == [[FIRST, SECOND], [LAST]]
    assert _judge(remains) == Findings()


def _without_the_second(said: Said) -> Said:
    return replace(said, asked=[FIRST])


def _with_the_second_twice(said: Said) -> Said:
    return replace(said, asked=[FIRST, SECOND, SECOND])


def _without_an_answer(said: Said) -> Said:
    return replace(said, answers=[])


def _with_the_answer_before(said: Said) -> Said:
    return replace(said, in_order=False)


@pytest.mark.parametrize("spoil", [_without_the_second, _with_the_second_twice, _without_an_answer, _with_the_answer_before])
def test_a_turn_that_does_not_say_what_it_answers_is_told(remains: Remains, spoil: Callable[[Said], Said]) -> None:
    first, last = remains.said[SESSION]
    found = _judge(replace(remains, said={SESSION: [spoil(first), last]}))
    assert any(FIRST in fault for fault in found.others)


def test_the_order_is_that_of_asking(remains: Remains) -> None:
    first, last = remains.said[SESSION]
    assert _judge(replace(remains, said={SESSION: [last, first]})).misordered == [FIRST, SECOND]


def test_a_question_that_was_to_leave_the_history_as_it_is_is_told(remains: Remains, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.chaos.policy_checker.is_stored", lambda id: id != LAST)
    assert _judge(remains).others == [f"{LAST} is in the history, which it was to leave as it is"]
    assert _judge(replace(remains, said={SESSION: remains.said[SESSION][:1]})) == Findings()


def test_a_question_that_was_declined_leaves_nothing(remains: Remains) -> None:
    declined = {**ENTRIES, LAST: replace(ENTRIES[LAST], accepted=None, declined=True)}
    assert _judge(remains, declined).others == [f"{LAST} was declined, and is completed"]


@pytest.mark.parametrize(("way", "state"), [("rollback", State.CANCELLED), ("interrupt", State.INCOMPLETE)])
def test_only_a_question_that_stops_others_explains_such_an_end(remains: Remains, way: str, state: State) -> None:
    record = replace(remains.records[LAST], state=state, code="interrupted" if way == "interrupt" else None)
    first, last = remains.said[SESSION]
    told = [first, last] if way == "interrupt" else [first]
    ended = replace(remains, records={**remains.records, LAST: record}, said={SESSION: told})
    found = _judge(ended)
    assert found.lost == [LAST] or found.others == [f"{LAST} was interrupted by nobody"]
    stopper = Entry(_of(way), SESSION, sent=3, abandoned=True)
    assert _judge(ended, {**ENTRIES, stopper.turn: stopper}) == Findings()


def test_a_question_that_stops_another_in_the_millisecond_it_is_asked_explains_that(remains: Remains, tmp_path: Path) -> None:
    """The server knows whole milliseconds, cut off: a turn may end before the moment its stopper was sent."""
    first, _ = remains.said[SESSION]
    cancelled = replace(remains.records[LAST], state=State.CANCELLED, finished=7.123)
    ended = replace(remains, records={**remains.records, LAST: cancelled}, said={SESSION: [first]})
    stopper = _of("rollback")
    SubmissionRecord(tmp_path / "p.jsonl").note("sent", stopper, SESSION, 7.1239)
    assert _judge(ended, {**ENTRIES, **read([tmp_path / "p.jsonl"])}) == Findings()
    SubmissionRecord(tmp_path / "q.jsonl").note("sent", stopper, SESSION, 7.1241)
    assert _judge(ended, {**ENTRIES, **read([tmp_path / "q.jsonl"])}).lost == [LAST]


def test_a_lost_question_is_told(remains: Remains) -> None:
    records = {id: record for id, record in remains.records.items() if id != SECOND}
    found = _judge(replace(remains, records=records))
    assert SECOND in found.lost
    assert any(SECOND in fate and "has no record" in fate for fate in found.fates)


def test_events_of_a_merged_turn_lead_to_the_other(remains: Remains) -> None:
    record, events = remains.records[SECOND], remains.events[SECOND]
    assert not events_fault(record, events)
    assert events_fault(record, events[:1]) == "the last one is not the end"
    assert events_fault(record, [*events, events[-1]]) == "ended"
    assert events_fault(record, events[1:])


def test_crowds_are_told() -> None:
    slots, calls = Keys().slots(tenants.POLICIES), Keys().calls("gpt@1")
    most = tenants.SLOTS[tenants.POLICIES]
    assert not list(crowds.faults({slots: most, calls: tenants.CALLS, Keys().slots("x"): 99}, [(1, tenants.CALLS)], []))
    assert len(list(crowds.faults({slots: most + 1, calls: tenants.CALLS + 1}, [], []))) == 2
    lost = Attempt("s", "t", "1:n", "w-1-x", claimed=0, ended=900, how="taken")
    seen = [(1_000, tenants.CALLS + 1)]
    assert not list(crowds.faults({}, seen, [lost]))
    assert len(list(crowds.faults({}, seen, [replace(lost, how="finished")]))) == 1
