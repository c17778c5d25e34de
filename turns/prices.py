"""Prices of models: what a turn costs, by its tokens."""

import json
from collections.abc import Mapping
from functools import cache

MILLION = 1_000_000
_ANY = "*"

Prices = Mapping[str, tuple[float, float]]


@cache
def read_prices(text: str) -> Prices:
    """Read TURNSTILE_PRICES: model → prices of a million tokens of input, and of output. Raises ValueError for another form."""
    found = json.loads(text) if text else {}
    if not isinstance(found, dict) or not all(map(_is_price, found.values())):
        raise ValueError('write JSON, prices of a million tokens: {"gpt-4o-mini": [0.15, 0.60], "*": [5, 15]}')
    return {model: (price[0], price[1]) for model, price in found.items()}


def _is_price(price: object) -> bool:
    if not isinstance(price, list) or len(price) != 2:
        return False
    return all(type(number) in (int, float) and 0 <= number < MILLION for number in price)


def cost(prices: Prices, model: str, tokens_in: int, tokens_out: int) -> int:
    """Return what tokens cost, in millionths of the unit of the prices; 0 for a model without a price.

    A model's server may answer with a dated name: the longest name in the table with which it begins counts.
    """
    names = [name for name in prices if model.startswith(name)]
    price = prices.get(max(names, key=len) if names else _ANY)
    return round(tokens_in * price[0] + tokens_out * price[1]) if price else 0
