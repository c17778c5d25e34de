"""Figures as text: medians with their spread, tables on the terminal and in Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(slots=True)
class Table:
    """One table: a heading, what it says in words, columns, rows."""

    title: str
    about: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        """Add one more row."""
        self.rows.append(cells)

    def markdown(self) -> str:
        """Return the table for a page."""
        lines = [f"### {self.title}", "", self.about, ""]
        if self.rows:
            lines += [_line(self.columns), _line(["---"] + ["---:"] * (len(self.columns) - 1)), *map(_line, self.rows), ""]
        return "\n".join([*lines, *[f"{note}\n" for note in self.notes]])

    def text(self) -> str:
        """Return the table for a terminal."""
        cells = [self.columns, *self.rows]
        widths = [max(len(row[i]) for row in cells) for i in range(len(self.columns))]
        padded = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
        return "\n".join([f"\n{self.title}", *padded, *self.notes])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def spread(values: Sequence[float], unit: str = "", digits: int = 1) -> str:
    """Return the median, and in brackets the least and the most."""
    if not values:
        return "-"
    middle = f"{median(values):,.{digits}f}{unit}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
