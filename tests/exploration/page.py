"""The pages that commands write their results into: what stands between the two marks is theirs."""

from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]


def rewrite(page: str, command: str, lines: Sequence[str]) -> Path:
    """Put lines between the marks of a page in docs/, and leave the rest as it is. Raises ValueError without marks."""
    before, _, after = _parts(page, command)
    file = ROOT / "docs" / page
    file.write_text("\n".join([before, "", *lines, "", after]))
    return file


def rows(page: str, command: str) -> list[list[str]]:
    """Return the cells of the table that stands between the marks of a page, without its head."""
    lines = [line for line in _parts(page, command)[1].splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def _parts(page: str, command: str) -> tuple[str, str, str]:
    first, last = f"<!-- written by `{command}` -->", "<!-- end -->"
    before, begun, rest = (ROOT / "docs" / page).read_text().partition(first)
    between, ended, after = rest.partition(last)
    if not (begun and ended):
        raise ValueError(f"docs/{page} lacks the lines {first} and {last}")
    return before + first, between, last + after


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Return a Markdown table; numbers stand to the right."""
    numbers = [all(isinstance(row[column], int) for row in rows) for column in range(len(head))]
    marks = ["---:" if number else "---" for number in numbers]
    return [_row(head), _row(marks), *(_row([f"{cell:,}" if isinstance(cell, int) else cell for cell in row]) for row in rows)]


def _row(cells: Sequence[object]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
