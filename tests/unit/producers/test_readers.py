"""The next call of a reader, and its use of the replies."""

import json
from typing import Any

import pytest

from turnstile.producers.reading.readers import (
    EVENTS_AT_ONCE,
    EndReader,
    EventReader,
    Look,
    Patience,
    Read,
    Reader,
    Step,
    TextReader,
)
from turnstile.turns.errors import QueueUnreachable, TurnCancelled, TurnFailed, TurnNotFinished
from turnstile.turns.output import said
from turnstile.turns.question import Options
from turnstile.turns.states import State
from turnstile.turns.turn import Event, Record

OUTAGE = QueueUnreachable("gone")


def record(state: State, sequence: int = 0, answer: str | None = None, **more: Any) -> Record:
    blank: dict[str, Any] = dict.fromkeys(Record.__dataclass_fields__)
    output = () if answer is None else said(answer)
    known = {"id": "t", "session": "s", "question": "q", "options": Options(), "attempts": 1, "created": 0.0, "place": 0}
    known["settled"] = True
    return Record(**{**blank, **known, "state": state, "sequence": sequence, "output": output, **more})


def wants(reader: Reader[Any]) -> Step | None:
    return reader.step


def started(sequence: int, attempt: int = 1) -> Event:
    return Event(sequence, "started", attempt, "")


def text(sequence: int, data: str, attempt: int = 1) -> Event:
    return Event(sequence, "text", attempt, data)


def ended(sequence: int, state: State = State.COMPLETED, attempt: int = 1) -> Event:
    return Event(sequence, "ended", attempt, state)


def test_events_are_read_at_once_then_waited_for() -> None:
    reader = EventReader()
    assert wants(reader) == Read(0)
    assert reader.take([started(1)]) == [started(1)]
    assert wants(reader) == Read(1, wait=True)
    assert reader.take([ended(2)]) == [ended(2)]
    assert wants(reader) is None


def test_after_as_many_events_as_are_read_at_once_nothing_is_waited_for() -> None:
    reader = EventReader()
    reader.take([text(sequence, "x") for sequence in range(1, EVENTS_AT_ONCE + 1)])
    assert wants(reader) == Read(EVENTS_AT_ONCE)
    reader.take([text(EVENTS_AT_ONCE + 1, "x")])
    assert wants(reader) == Read(EVENTS_AT_ONCE + 1, wait=True)


def test_when_nothing_comes_the_record_is_looked_at() -> None:
    reader = EventReader()
    assert reader.take([]) == []
    assert wants(reader) == Look(idle=True)
    assert reader.take(record(State.RUNNING)) == ()
    assert wants(reader) == Read(0, wait=True)


@pytest.mark.parametrize("reader", [EventReader(), TextReader(), EndReader()])
def test_a_turn_that_is_under_way_is_waited_for_without_its_record(reader: Reader[Any]) -> None:
    if isinstance(reader, EndReader):
        reader.take(record(State.RUNNING, 7))
    after = 7 if isinstance(reader, EndReader) else 0
    assert not reader.take([])
    assert wants(reader) == Look(idle=True)
    assert not reader.take(None)
    assert wants(reader) == Read(after, wait=True, ending=isinstance(reader, EndReader))


@pytest.mark.parametrize("reader", [EventReader(), TextReader(), EndReader()])
def test_an_end_that_is_decided_and_not_carried_out_is_waited_for(reader: Reader[Any]) -> None:
    if not isinstance(reader, EndReader):
        reader.take([])
    assert isinstance(wants(reader), Look)
    assert not reader.take(record(State.COMPLETED, answer="hello", settled=False))
    assert isinstance(step := wants(reader), Read)
    assert step.wait


def test_an_end_between_two_reads_is_not_missed() -> None:
    reader = EventReader()
    reader.take([])
    reader.take(record(State.COMPLETED, sequence=1))
    assert wants(reader) == Read(0)
    assert reader.take([ended(1)]) == [ended(1)]
    assert wants(reader) is None


def test_events_that_have_expired_end_the_reading() -> None:
    reader = EventReader()
    reader.take([])
    reader.take(record(State.COMPLETED, sequence=4))
    assert reader.take([]) == []
    assert wants(reader) is None


def test_a_streamed_answer_needs_the_record_for_nothing_but_its_end() -> None:
    reader = TextReader()
    assert reader.take([started(1), text(2, "Hel"), text(3, "lo")]) == ["Hel", "lo"]
    assert reader.take([ended(4)]) == []
    assert wants(reader) == Look()
    assert reader.take(record(State.COMPLETED, 4, "Hello")) == ()
    assert wants(reader) is None


def test_steps_are_told_beside_the_text() -> None:
    heard: list[tuple[str, bool]] = []
    reader = TextReader(on_step=lambda name, done: heard.append((name, done)))
    begun, done = (json.dumps({"name": "pay", "status": status}) for status in ("started", "done"))
    pieces = reader.take([started(1), Event(2, "step", 1, begun), text(3, "a"), Event(4, "step", 1, done)])
    assert [str(piece) for piece in pieces] == ["a"]
    assert heard == [("pay", False), ("pay", True)]


def test_an_answer_that_was_not_streamed_is_one_piece() -> None:
    reader = TextReader()
    reader.take([ended(1)])
    [piece] = reader.take(record(State.COMPLETED, 1, "Hello"))
    assert (piece, piece.sequence, piece.starts_over) == ("Hello", 1, False)


def test_after_its_one_piece_nothing_is_left() -> None:
    reader = TextReader(after=1)
    reader.take([])
    reader.take(record(State.COMPLETED, 1, "Hello"))
    assert reader.take([]) == ()
    assert wants(reader) is None


def test_an_expired_stream_is_one_piece() -> None:
    reader = TextReader()
    reader.take([])
    reader.take(record(State.COMPLETED, 9, "Hello"))
    [piece] = reader.take([])
    assert (piece, piece.sequence, piece.starts_over) == ("Hello", 9, False)


def test_a_reader_in_the_middle_of_an_expired_stream_starts_over() -> None:
    reader = TextReader(after=3)
    reader.take([])
    reader.take(record(State.COMPLETED, 9, "Hello"))
    [piece] = reader.take([])
    assert (piece, piece.starts_over) == ("Hello", True)


def test_a_new_attempt_starts_over_where_something_was_shown() -> None:
    reader = TextReader()
    assert [piece.starts_over for piece in reader.take([started(1), text(2, "Hel")])] == [False]
    pieces = reader.take([started(3, 2), text(4, "Good ", 2), text(5, "day", 2)])
    assert [(str(piece), piece.starts_over) for piece in pieces] == [("Good ", True), ("day", False)]


def test_text_that_is_known_to_be_void_is_never_shown() -> None:
    reader = TextReader()
    pieces = reader.take([started(1), text(2, "Hel"), started(3, 2), text(4, "Good day", 2)])
    assert [(str(piece), piece.starts_over) for piece in pieces] == [("Good day", False)]


def test_a_new_attempt_without_text_gives_the_answer_from_the_record() -> None:
    reader = TextReader()
    reader.take([started(1), text(2, "Hel")])
    reader.take([started(3, 2), ended(4, attempt=2)])
    [piece] = reader.take(record(State.COMPLETED, 4, "Good day", attempts=2))
    assert (piece, piece.starts_over) == ("Good day", True)


def test_a_resumed_reader_at_the_end_of_the_text_gets_nothing_twice() -> None:
    reader = TextReader(after=3)
    reader.take([ended(4)])
    assert reader.take(record(State.COMPLETED, 4, "Hello")) == ()


def test_an_empty_answer_is_no_piece() -> None:
    reader = TextReader()
    reader.take([started(1), ended(2)])
    assert reader.take(record(State.COMPLETED, 2, "")) == ()


@pytest.mark.parametrize(("state", "error"), [(State.FAILED, TurnFailed), (State.CANCELLED, TurnCancelled)])
def test_a_stream_without_an_answer_ends_with_the_reason(state: State, error: type[Exception]) -> None:
    reader = TextReader()
    reader.take([started(1), text(2, "Hel"), ended(3, state)])
    with pytest.raises(error):
        reader.take(record(state, 3))


def test_a_turn_that_was_retried_meanwhile_is_read_on() -> None:
    reader = TextReader()
    reader.take([started(1), text(2, "Hel"), ended(3, State.FAILED)])
    assert reader.take(record(State.QUEUED, 3)) == ()
    assert wants(reader) == Read(3, wait=True)
    [piece] = reader.take([started(4, 2), text(5, "Hello", 2)])
    assert piece.starts_over


def test_the_end_is_waited_for_from_where_the_record_stands() -> None:
    reader = EndReader()
    assert wants(reader) == Look()
    reader.take(record(State.RUNNING, 7))
    assert wants(reader) == Read(7, wait=True, ending=True)
    reader.take([text(8, "x")])
    assert wants(reader) == Read(8, wait=True, ending=True)
    reader.take([ended(9)])
    assert wants(reader) == Look()
    done = record(State.COMPLETED, 9, "x")
    assert reader.take(done) == (done,)
    assert wants(reader) is None


def test_patience_runs_out_only_before_a_step_that_waits() -> None:
    patience = Patience(0)
    patience.check(Read(0))
    patience.check(Look())
    with pytest.raises(TurnNotFinished):
        patience.check(Read(0, wait=True))


def test_an_outage_is_borne_until_the_time_out() -> None:
    assert 0 < Patience(60).tolerate(OUTAGE) <= 1
    with pytest.raises(TurnNotFinished) as late:
        Patience(0).tolerate(OUTAGE)
    assert late.value.__cause__ is OUTAGE


def test_an_outage_without_a_time_out_is_borne_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    patience = Patience(None)
    assert 0 < patience.tolerate(OUTAGE) <= 1
    monkeypatch.setattr("turnstile.producers.reading.readers.OUTAGE_SECONDS", -1.0)
    with pytest.raises(QueueUnreachable):
        patience.tolerate(OUTAGE)
    patience.answered()
    monkeypatch.undo()
    assert 0 < patience.tolerate(OUTAGE) <= 1


def test_pauses_grow_and_a_reply_ends_them() -> None:
    patience = Patience(None)
    pauses = [patience.tolerate(OUTAGE) for _ in range(6)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 1
    patience.answered()
    assert patience.tolerate(OUTAGE) == pauses[0]


def test_text_whose_beginning_a_failover_has_lost_is_read_again_from_the_start() -> None:
    reader = TextReader()
    reader.take([started(1), text(2, "one "), text(3, "two ")])
    assert reader.take([text(4, "drei", attempt=2)]) == ()
    assert wants(reader) == Read(0)
    pieces = reader.take(
        [started(1, attempt=2), text(2, "eins ", 2), text(3, "zwei ", 2), text(4, "drei", 2), ended(5, attempt=2)]
    )
    assert [(str(piece), piece.starts_over) for piece in pieces] == [("eins ", True), ("zwei ", False), ("drei", False)]
