"""Replies are read strictly."""

import pytest

from turnstile.turns.errors import TooManyWaiting, UnknownTurn
from turnstile.turns.settings import Settings
from turnstile.turns.store.replies import OneOf, always, raising
from turnstile.turns.store.turns import TurnStore


def test_a_word_is_read_by_its_reader() -> None:
    read = OneOf[object]("refuse", taken=lambda *given: given, refused=always(0))
    assert read([b"taken", b"3"]) == (b"3",)
    assert read("given", [b"taken", b"3"]) == ("given", b"3")
    assert read([b"refused", b"whatever", b"follows"]) == 0
    assert read.each([b"refused", b"refused"]) == [0, 0]


def test_a_reader_may_raise_a_new_error_each_time() -> None:
    read = OneOf("resend_webhook", unknown=raising(lambda: UnknownTurn("There is none.")), sent=always(None), full=always(None))
    with pytest.raises(UnknownTurn) as first:
        read([b"unknown"])
    with pytest.raises(UnknownTurn) as second:
        read([b"unknown"])
    assert first.value is not second.value


@pytest.mark.parametrize("words", [("refused",), ("refused", "taken", "lost")])
def test_each_word_that_a_script_promises_has_a_reader_and_no_other_has(words: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="refused"):
        OneOf("refuse", **dict.fromkeys(words, always(None)))


def test_a_word_that_nobody_knows_is_an_error_and_nothing_else() -> None:
    store = TurnStore(Settings(), "redis://localhost")
    call = TurnStore.submit.describe(store, "a", "foo", "hi")
    with pytest.raises(TooManyWaiting):
        call.read([b"full"])
    with pytest.raises(RuntimeError, match="'fuller'"):
        call.read([b"fuller"])
