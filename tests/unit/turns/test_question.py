"""Questions: their checks, their stored form and their fingerprints."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.turns.json_values import OBJECTS, TEXT
from turnstile.turns.bounds import MOST_CONTENT_BYTES
from turnstile.turns.errors import InvalidTurn
from turnstile.turns.question import Question, encode_question, fingerprint

MOST = 1_000


@given(TEXT.filter(str.strip))
def test_texts_come_back(question: str) -> None:
    assert json.loads(encode_question(question, 10_000_000)) == question


_KINDS = TEXT.filter(lambda kind: kind not in ("", "text"))


@given(st.lists(st.builds(lambda rest, kind: {**rest, "type": kind}, OBJECTS, _KINDS), min_size=1, max_size=3))
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


@given(TEXT, TEXT, TEXT, TEXT, TEXT, TEXT)
def test_fingerprints_tell_turns_apart(a: str, b: str, c: str, d: str, e: str, f: str) -> None:
    without_nul = [text.replace("\0", "") for text in (a, b, c, d, e, f)]
    one, other = without_nul[:3], without_nul[3:]
    assert (fingerprint(*one) == fingerprint(*other)) == (one == other)
    assert len(fingerprint(*one)) == 32
