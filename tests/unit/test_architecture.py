"""The paths that ARCHITECTURE.md names as the places of things."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_TEXT = (ROOT / "ARCHITECTURE.md").read_text()
_TABLE = _TEXT[_TEXT.index("### Where things are") : _TEXT.index("## The path of one turn")]
_PATHS = re.findall(r"`((?:[\w-]+/)+[\w.-]*)`", _TABLE)


def test_there_is_a_place_for_each_row() -> None:
    rows = [line for line in _TABLE.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 15
    assert all("/" in row.split("|")[2] for row in rows)


@pytest.mark.parametrize("path", _PATHS)
def test_each_place_is_there(path: str) -> None:
    assert (ROOT / path).exists()
