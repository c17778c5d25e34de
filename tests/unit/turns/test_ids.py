"""Names of sessions and ids of turns."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnstile.turns.errors import InvalidTurn
from turnstile.turns.ids import check_session, check_turn

_PART = st.from_regex(r"[A-Za-z0-9._@+~=:-]{1,200}", fullmatch=True)


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
