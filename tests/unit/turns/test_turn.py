"""Claims, records and events, read from the replies of scripts."""

from typing import Any

import pytest

from turnstile.turns.question import Options
from turnstile.turns.states import State
from turnstile.turns.turn import Claim, Event, Large, Outline, Record, Spent, TurnResult


def test_an_event() -> None:
    event = Event.decode((b"7-0", {b"type": b"text", b"attempt": b"2", b"data": "☃".encode()}))
    assert event == Event(7, "text", 2, "☃")


def test_a_claim() -> None:
    asked = (b'"hi"', b'{"model":"m"}', b"", b"1500", b"2500", 3_500)
    about = (1, 0, b"first", b'{"chain":"c"}', b"3 5 70", b"interrupt", 9, b"")
    reply = (b"foo", b"2:n", 2, 3, b"4", *asked, *about, b"new", b"old")
    claim = Claim.decode("a", reply)
    assert (claim.attempt, claim.attempts_left, claim.sequence, claim.stream) == (2, 3, 4, False)
    assert (claim.created, claim.started, claim.now) == (1.5, 2.5, 3.5)
    assert (claim.question, claim.options, claim.window) == ("hi", Options(model="m"), (b"new", b"old"))
    assert claim.readable
    assert (claim.thread, claim.chain, claim.spent) == ("first", "c", Spent(3, 5, 70))
    assert (claim.cut, claim.length) == (False, 9)
    assert claim.interrupted
    assert claim.marked
    assert claim.size == sum(len(part) for part in reply if isinstance(part, bytes))


def test_the_claim_of_a_large_turn() -> None:
    reply = (
        b"foo",
        b"2:n",
        2,
        3,
        b"4",
        b"",
        b"",
        b"",
        b"1500",
        b"2500",
        3_500,
        1,
        0,
        b"a",
        b"",
        b"3 5 70 9",
        b"",
        0,
        b"5000 2 1 7 0",
    )
    claim = Claim.decode("a", reply)
    assert (claim.size, claim.large, claim.spent) == (5_000, Large(2, 1, 7, asked=True), Spent(3, 5, 70, 9))
    assert claim.length == 7
    assert (claim.question, claim.options, claim.chain, claim.window) == ("", Options(), None, ())
    whole = claim.with_question(b'"hi"', b'{"model":"m"}', b'{"chain":"c"}').with_window([b"new"])
    assert (whole.question, whole.options, whole.chain, whole.window) == ("hi", Options(model="m"), "c", (b"new",))
    assert (whole.size, whole.large) == (5_000, None)


def test_what_a_turn_has_used_is_written_as_it_always_was_unless_its_state_is_large() -> None:
    assert (Spent(3, 5, 70).encode(), Spent(3, 5, 70, 9).encode()) == ("3 5 70", "3 5 70 9")
    assert Spent.decode("3 5 70 9") == Spent(3, 5, 70, 9)


@pytest.mark.parametrize(("state", "answer"), [(s, "" if s.answered else None) for s in State])
def test_a_record_without_an_answer(state: State, answer: str | None) -> None:
    pairs = {
        "session": "foo", "state": state, "queue": "chat", "attempts": "1",
        "created": "1500", "question": '"hi"', "options": "{}",
    }  # fmt: skip
    record = Record.decode("a", [2, *(part.encode() for pair in pairs.items() for part in pair)])
    assert (record.place, record.state, record.answer, record.created) == (2, state, answer, 1.5)
    assert (record.started, record.finished, record.usage, record.code) == (None,) * 4


@pytest.mark.parametrize("form", [Outline, TurnResult, Record])
def test_only_a_whole_record_has_messages_that_its_options_bring(form: type[Outline]) -> None:
    said = [{"role": "user", "content": "secret"}]
    options = Options(before=said, history=said, instructions="Be brief.", metadata={"a": "b"})
    reply: Any = [0, b"session", b"foo", b"state", b"queued", b"queue", b"chat", b"attempts", b"0", b"created", b"0"]
    record = form.decode("a", [*reply, b"question", b'"secret"', b"options", options.encode().encode()])
    assert (record.id, record.options.instructions, record.options.metadata) == ("a", "Be brief.", {"a": "b"})
    assert ("secret" in repr(record)) is (form is Record)
