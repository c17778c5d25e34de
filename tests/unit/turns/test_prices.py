"""Prices: read strictly, and told by the longest name."""

import pytest

from turnstile.turns.errors import SettingError
from turnstile.turns.prices import cost, read_prices
from turnstile.turns.settings import Settings

_PRICES = '{"gpt": [1, 2], "gpt-mini": [0.5, 1.5], "*": [10, 10]}'


@pytest.mark.parametrize(
    ("model", "expected"), [("gpt", 300), ("gpt-2026", 300), ("gpt-mini-1", 200), ("other", 2_000), ("", 2_000)]
)
def test_the_longest_name_counts(model: str, expected: int) -> None:
    assert cost(read_prices(_PRICES), model, 100, 100) == expected


def test_without_a_price_nothing_is_paid() -> None:
    assert cost(read_prices('{"gpt": [1, 2]}'), "other", 100, 100) == 0
    assert cost(read_prices(""), "gpt", 100, 100) == 0


@pytest.mark.parametrize("text", ["[]", '{"a": 1}', '{"a": [1]}', '{"a": [1, -1]}', '{"a": [1, "2"]}', '{"a": [true, 1]}', "{"])
def test_another_form_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match="TURNSTILE_PRICES"):
        Settings.load({"TURNSTILE_PRICES": text})
