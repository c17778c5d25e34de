"""The part of a page that a measurement writes, between two marks; the rest is prose, and stays."""

from collections.abc import Sequence
from pathlib import Path

from bench.machine import description
from bench.tables import Table

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def write(page: Path, command: str, seconds: float, tables: Sequence[Table]) -> None:
    """Put tables into a page, and say which command made them."""
    text = page.read_text()
    start, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    about = f"One run of `{command}` ({seconds / 60:.0f} minutes) on {description()}; other work ran on the machine at times."
    body = "\n".join([table.markdown() for table in tables])
    page.write_text(f"{text[:start]}\n\n{about}\n\n{body}\n{text[end:]}")
