"""Bounds of questions and options."""

from typing import Any

import pytest

from tests.unit.turns.json_values import nested
from turnstile.turns.bounds import MOST_CONTENT_BYTES, MOST_DEPTH, MOST_MESSAGES, MOST_PARTS, MOST_VALUES
from turnstile.turns.errors import InvalidTurn
from turnstile.turns.question import Options, encode_question
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore

MOST = 1_000


@pytest.mark.parametrize("beside", ["x", "[" * 100, '"[\\"{', "\\"])
@pytest.mark.parametrize("depth", [MOST_DEPTH - 2, MOST_DEPTH - 1, 400, 100_000])
def test_depth_is_bounded(depth: int, beside: str) -> None:
    part = {"type": "x", beside: beside, "secret": nested(depth - 1)}
    options = Options(response_format={"more": part})
    if depth == MOST_DEPTH - 2:
        assert encode_question([part], MOST)
        assert options.encode()
        return
    with pytest.raises(InvalidTurn, match=f"more than {MOST_DEPTH} deep"):
        encode_question([part], MOST)
    with pytest.raises(InvalidTurn, match=f"more than {MOST_DEPTH} deep"):
        options.encode()


@pytest.mark.parametrize("dense", [[1], [[]], [{}], [""], ["a,b"]])
def test_values_are_bounded(dense: list[Any]) -> None:
    part = {"type": "x", "dense": dense * (MOST_VALUES // 2 - 10)}
    assert encode_question([part], MOST)
    with pytest.raises(InvalidTurn, match="more than 50,000 values"):
        Options(request={"dense": dense * MOST_VALUES}).encode()
    with pytest.raises(InvalidTurn, match="more than 50,000 values"):
        encode_question([{**part, "dense": dense * MOST_VALUES}], MOST)


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
    ({"response_format": {"a": "x" * 140_000}}, "response_format", "at most 131,072"),
    (
        {"tools": [{"type": "function", "function": {"name": "a", "description": "x" * 262_144}}]},
        "tools",
        "at most 262,144",
    ),
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


_ASKS: dict[str, dict[str, Any]] = {
    "submit": {"session": "foo"},
    "follow": {"previous": "b", "branch": "foo"},
    "ask_later": {"session": "foo", "not_before": 4e9},
    "schedule": {"session": "foo", "cron": "* * * * *", "now": 1.0},
}


@pytest.mark.parametrize("ask", _ASKS)
@pytest.mark.parametrize("name", ["question", "before", "instructions"])
def test_every_way_to_ask_is_bound_by_the_settings(ask: str, name: str) -> None:
    store = TurnStore(Settings(redis_url="redis://127.0.0.1:1/0", max_question_bytes=MOST))
    values: dict[str, Any] = {
        "question": "x" * MOST,
        "instructions": "x" * MOST,
        "before": [{"role": "user", "content": "x" * MOST}],
    }
    given: dict[str, Any] = (
        {"question": "hi", "options": Options.of({name: values[name]})} if name != "question" else {name: values[name]}
    )
    with pytest.raises(InvalidTurn, match="TURNSTILE_MAX_QUESTION_BYTES allows 1,000") as refused:
        getattr(store, ask)("a", **_ASKS[ask], **given)
    assert refused.value.param == name
