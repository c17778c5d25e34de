"""JSON, written and read."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.turns.json_values import JSON
from turnstile.turns.text import dumps, loads, loads_stored

_ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(_ANY_JSON)
def test_json_is_read_as_the_standard_library_reads_it(value: Any) -> None:
    text = json.dumps(value)  # every letter escaped, halves of surrogate pairs too
    assert repr(loads(text)) == repr(loads(text.encode())) == repr(json.loads(text))


@given(JSON)
def test_json_with_readable_letters_is_read_as_well(value: Any) -> None:
    text = dumps(value)
    assert repr(loads(text)) == repr(json.loads(text))


@pytest.mark.parametrize(
    "text", ["", "{", "[1] 2", b"\xff", "nope", "[1,]", "[" * 100_000, '{"a":' * 100_000, "1" * 10_000 + "."]
)
@pytest.mark.parametrize("read", [loads, loads_stored])
def test_what_is_no_json_is_a_value_error(read: Callable[[str | bytes], Any], text: str | bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # json's error is one, and all that is promised
        read(text)
