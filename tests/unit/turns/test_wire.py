"""Wire forms: what is let in, and what comes back as it was."""

import json
import re
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnstile.turns.bounds import MOST_CONTENT_BYTES, MOST_DEPTH, MOST_MESSAGES, MOST_PARTS
from turnstile.turns.errors import InvalidTurn
from turnstile.turns.ids import check_session, check_turn
from turnstile.turns.question import Options, Question, encode_question, fingerprint
from turnstile.turns.states import State
from turnstile.turns.text import dumps, loads
from turnstile.turns.turn import Claim, Event, Record

_PART = st.from_regex(r"[A-Za-z0-9._@+~=:-]{1,200}", fullmatch=True)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_TEXT = st.text(st.characters(codec="utf-8"))
_OBJECT = st.dictionaries(_TEXT, _JSON, max_size=3)
MOST = 1_000


@given(_PART)
def test_sessions_of_every_allowed_character(session: str) -> None:
    assert check_session(session) == session


@given(_PART, _PART)
def test_sessions_with_a_tenant(tenant: str, session: str) -> None:
    assert check_session(f"{tenant}/{session}") == f"{tenant}/{session}"


@given(st.text())
def test_whatever_else_is_no_session(text: str) -> None:
    allowed = re.fullmatch(r"([A-Za-z0-9._@+~=:\-]{1,200}/)?[A-Za-z0-9._@+~=:\-]{1,200}", text, re.ASCII)
    if allowed and "\n" not in text:
        assert check_session(text) == text
    else:
        with pytest.raises(InvalidTurn) as caught:
            check_session(text)
        assert caught.value.param == "session"


@pytest.mark.parametrize(
    "session",
    [
        "",
        "/",
        "a/",
        "/a",
        "a/b/c",
        "a b",
        "a\n",
        "\na",
        "é",
        "a*",
        "a?",
        "[a]",
        "a\0",
        "a%",
        "x" * 201,
        f"{'x' * 201}/a",
        "a{b}",
    ],
)
def test_no_session(session: str) -> None:
    with pytest.raises(InvalidTurn, match="tenant/"):
        check_session(session)


@pytest.mark.parametrize("value", [None, 7, b"foo", ["foo"]])
def test_only_texts_are_names(value: Any) -> None:
    for check in (check_session, check_turn):
        with pytest.raises(InvalidTurn):
            check(value)


@given(st.from_regex(r"[A-Za-z0-9_-]{1,100}", fullmatch=True))
def test_turn_ids(id: str) -> None:
    assert check_turn(id) == id


@pytest.mark.parametrize("id", ["", "a b", "a:b", "a/b", "a\n", "é", "a.b", "x" * 101])
def test_no_turn_id(id: str) -> None:
    with pytest.raises(InvalidTurn) as caught:
        check_turn(id)
    assert caught.value.param == "id"


@given(_TEXT.filter(str.strip))
def test_texts_come_back(question: str) -> None:
    assert json.loads(encode_question(question, 10_000_000)) == question


_KIND = _TEXT.filter(lambda kind: kind not in ("", "text"))


@given(st.lists(st.builds(lambda rest, kind: {**rest, "type": kind}, _OBJECT, _KIND), min_size=1, max_size=3))
def test_content_parts_come_back(parts: list[dict[str, Any]]) -> None:
    try:
        encoded = encode_question(parts, 10_000_000)
    except InvalidTurn:
        with pytest.raises(UnicodeEncodeError):
            json.dumps(parts, ensure_ascii=False).encode()
    else:
        assert json.loads(encoded) == parts


@pytest.mark.parametrize(
    "question", ["", "  \n\t", [], [{}], ["text"], [{"type": ""}], [{"text": "x"}], {"type": "text"}, None, 3]
)
def test_no_question(question: Any) -> None:
    with pytest.raises(InvalidTurn, match=r"content parts|^The question is empty\.$") as caught:
        encode_question(question, MOST)
    assert caught.value.param == "question"


def _nested(depth: int) -> list[Any]:
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner


@pytest.mark.parametrize(
    "question",
    [
        "secret \ud800",
        [{"type": "text", "text": "secret \udfff"}],
        [{"type": "x", "secret \ud800": 1}],
        [{"type": "x", "secret": float("nan")}],
        [{"type": "x", "secret": float("inf")}],
        [{"type": "x", "secret": {1, 2}}],
        [{"type": "x", "secret": b"bytes"}],
    ],
)
def test_what_cannot_be_stored_is_refused_and_not_quoted(question: Question) -> None:
    with pytest.raises(InvalidTurn, match="valid Unicode") as caught:
        encode_question(question, 10_000_000)
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("depth", [MOST_DEPTH - 3, MOST_DEPTH - 2, 400, 100_000])
def test_depth_is_bounded(depth: int) -> None:
    part = {"type": "x", "secret": _nested(depth)}
    if depth == MOST_DEPTH - 3:
        assert encode_question([part], MOST)
        assert Options(response_format=part).encode()
        return
    with pytest.raises(InvalidTurn, match=f"more than {MOST_DEPTH} deep"):
        encode_question([part], MOST)
    with pytest.raises(InvalidTurn, match=f"more than {MOST_DEPTH} deep"):
        Options(response_format=part).encode()


_TOO_LARGE: list[tuple[dict[str, Any], str, str]] = [
    ({"before": [{"role": "user", "content": "x"}] * (MOST_MESSAGES + 1)}, "before", "at most 2,000"),
    ({"history": [{"role": "user", "content": "x"}] * (MOST_MESSAGES + 1)}, "history", "at most 2,000"),
    ({"history": [{"role": "user", "content": [{"type": "text"}] * 1_001}] * 2}, "history", "2,002 parts; at most 2,000"),
    ({"history": [{"role": "user", "content": "x" * MOST_CONTENT_BYTES}]}, "history", "at most 16,777,216"),
    ({"before": [{"role": "user", "content": "x" * MOST}]}, "before", "TURNSTILE_MAX_QUESTION_BYTES allows 1,000"),
    ({"instructions": "x" * MOST}, "instructions", "TURNSTILE_MAX_QUESTION_BYTES allows 1,000"),
    ({"name": "x" * 2_000}, "name", "at most 1,024"),
    ({"model": "x" * 2_000}, "model", "at most 1,024"),
    ({"metadata": {"a": "x" * 70_000}}, "metadata", "at most 65,536"),
    ({"response_format": {"a": "x" * 300_000}}, "response_format", "at most 262,144"),
    ({"request": {"user": "x" * 600_000}}, "request", "at most 524,288"),
]


@pytest.mark.parametrize(("options", "param", "told"), _TOO_LARGE)
def test_every_option_is_bounded(options: dict[str, Any], param: str, told: str) -> None:
    with pytest.raises(InvalidTurn, match=told) as caught:
        Options(**options).encode(MOST)
    assert caught.value.param == param
    assert "xx" not in str(caught.value)


def test_parts_of_a_question_are_bounded() -> None:
    with pytest.raises(InvalidTurn, match="2,001 parts; at most 2,000"):
        encode_question([{"type": "text", "text": "x"}] * (MOST_PARTS + 1), 10_000_000)


def test_pictures_do_not_count_as_text() -> None:
    def question(text: str, picture: str) -> list[dict[str, Any]]:
        return [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": picture}}]

    assert encode_question(question("What is this?", "x" * MOST), MOST)
    with pytest.raises(InvalidTurn, match="TURNSTILE_MAX_QUESTION_BYTES allows 1,000"):
        encode_question(question("x" * MOST, "x"), MOST)
    with pytest.raises(InvalidTurn, match="16,777,216"):
        encode_question(question("What is this?", "x" * MOST_CONTENT_BYTES), MOST)


@pytest.mark.parametrize("character", ["a", "é", "☃", "😀", '"', "\n"])
def test_the_limit_is_in_bytes_of_utf8(character: str) -> None:
    fits = (MOST - 2) // len(json.dumps(character, ensure_ascii=False)[1:-1].encode())
    assert len(encode_question(character * fits if character.strip() else f"a{character * (fits - 1)}", MOST).encode()) <= MOST
    with pytest.raises(InvalidTurn, match=r"TURNSTILE_MAX_QUESTION_BYTES allows 1,000") as caught:
        encode_question(f"a{character * fits}" * 2, MOST)
    assert character not in str(caught.value) or character.isascii()


_MESSAGES = st.lists(st.fixed_dictionaries({"role": _TEXT, "content": _TEXT}), max_size=2)
OPTIONS = st.builds(
    Options,
    stream=st.booleans(),
    queue=st.sampled_from(("chat", "batch")),
    model=st.none() | _TEXT,
    instructions=st.none() | _TEXT,
    temperature=st.none() | st.floats(0, 2),
    max_output_tokens=st.none() | st.integers(1, 10**6),
    deadline_seconds=st.none() | st.floats(0.1, 1_000),
    store=st.booleans(),
    history=st.none() | _MESSAGES,
    metadata=st.dictionaries(_TEXT, _TEXT, max_size=2),
)


@given(OPTIONS)
def test_options_come_back(options: Options) -> None:
    assert Options.decode(options.encode()) == options
    assert Options.decode(options.encode().encode()) == options


def test_what_is_as_usual_is_not_written() -> None:
    assert Options().encode() == "{}"
    assert Options(temperature=0).encode() == '{"temperature":0}'
    assert Options.decode("") == Options.decode(b"{}") == Options()


def test_options_of_a_newer_version_are_passed_over() -> None:
    assert Options.decode('{"temperature":1,"from_the_future":[1]}') == Options(temperature=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("queue", "celery"), ("queue", ""),
        ("temperature", -0.1), ("temperature", 2.1), ("temperature", float("nan")),
        ("max_output_tokens", 0), ("max_output_tokens", -1),
        ("deadline_seconds", 0), ("deadline_seconds", float("inf")), ("deadline_seconds", float("nan")),
    ],
)  # fmt: skip
def test_a_bad_option_is_named(name: str, value: Any) -> None:
    with pytest.raises(InvalidTurn, match=f"`{name}` must be") as caught:
        Options(**{name: value})
    assert caught.value.param == name


@pytest.mark.parametrize(
    "options",
    [
        Options(instructions="secret \ud800"),
        Options(metadata={"secret": "\udfff"}),
        Options(response_format={"secret": float("nan")}),
        Options(response_format={"secret": {1}}),
        Options(history=[{"role": "user", "content": "secret \ud800"}]),
    ],
)
def test_options_that_cannot_be_stored_are_refused_and_not_quoted(options: Options) -> None:
    with pytest.raises(InvalidTurn, match="valid Unicode") as caught:
        options.encode()
    assert caught.value.param in {"options", "instructions", "metadata", "response_format"}
    assert "secret" not in str(caught.value)


def test_options_can_be_compared_and_not_changed() -> None:
    assert Options(metadata={"a": "b"}) == Options(metadata={"a": "b"})
    with pytest.raises(AttributeError):
        Options().queue = "batch"  # type: ignore[misc]  # that it is frozen is the point
    assert all(field.kw_only for field in fields(Options))


@given(_TEXT, _TEXT, _TEXT, _TEXT, _TEXT, _TEXT)
def test_fingerprints_tell_turns_apart(a: str, b: str, c: str, d: str, e: str, f: str) -> None:
    without_nul = [text.replace("\0", "") for text in (a, b, c, d, e, f)]
    one, other = without_nul[:3], without_nul[3:]
    assert (fingerprint(*one) == fingerprint(*other)) == (one == other)
    assert len(fingerprint(*one)) == 32


def test_an_event() -> None:
    event = Event.decode((b"7-0", {b"type": b"text", b"attempt": b"2", b"data": "☃".encode()}))
    assert event == Event(7, "text", 2, "☃")


def test_a_claim() -> None:
    reply = (b"foo", b"2:n", 2, 3, b"4", b'"hi"', b'{"model":"m"}', b"", b"1500", b"2500", 3_500, 1, 0, b"new", b"old")
    claim = Claim.decode("a", reply)
    assert (claim.attempt, claim.attempts_left, claim.sequence, claim.stream) == (2, 3, 4, False)
    assert (claim.created, claim.started, claim.now) == (1.5, 2.5, 3.5)
    assert (claim.question, claim.options, claim.window) == ("hi", Options(model="m"), (b"new", b"old"))
    assert claim.readable
    assert not claim.cut
    assert claim.size == sum(len(part) for part in reply if isinstance(part, bytes))


@pytest.mark.parametrize(("state", "answer"), [(s, "" if s.answered else None) for s in State])
def test_a_record_without_an_answer(state: State, answer: str | None) -> None:
    pairs = {
        "session": "foo", "state": state, "queue": "chat", "attempts": "1",
        "created": "1500", "question": '"hi"', "options": "{}",
    }  # fmt: skip
    record = Record.decode("a", [2, *(part.encode() for pair in pairs.items() for part in pair)])
    assert (record.place, record.state, record.answer, record.created) == (2, state, answer, 1.5)
    assert (record.started, record.finished, record.usage, record.code) == (None,) * 4


@pytest.mark.parametrize("messages", [["hi"], [{"content": "hi"}], [{"role": "user"}], [{"role": 1, "content": "hi"}]])
def test_messages_that_are_none_are_refused(messages: list[Any]) -> None:
    with pytest.raises(InvalidTurn, match="role"):
        Options(history=messages)
    with pytest.raises(InvalidTurn, match="role"):
        Options(before=messages)


_ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(_ANY_JSON)
def test_json_is_read_as_the_standard_library_reads_it(value: Any) -> None:
    text = json.dumps(value)  # every letter escaped, halves of surrogate pairs too
    assert repr(loads(text)) == repr(loads(text.encode())) == repr(json.loads(text))


@given(_JSON)
def test_json_with_readable_letters_is_read_as_well(value: Any) -> None:
    text = dumps(value)
    assert repr(loads(text)) == repr(json.loads(text))


@pytest.mark.parametrize("text", ["", "{", "[1] 2", b"\xff", "nope", "[1,]"])
def test_what_is_no_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # json's error is one, and all that is promised
        loads(text)
