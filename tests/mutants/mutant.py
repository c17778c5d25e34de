"""A deliberate fault: one replacement in one file, what it breaks, and the tests that are asked to notice."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Mutant:
    """`old` stands exactly once in `file`; `new` takes its place. `tests` are what pytest is given."""

    name: str
    breaks: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def applied(self, text: str) -> str:
        """Return the file's text with the fault in it. Raises ValueError when it does not apply any more."""
        if text.count(self.old) != 1:
            raise ValueError(f"mutant “{self.name}” does not apply to {self.file}: update it")
        return text.replace(self.old, self.new)

    def plant(self, root: Path) -> None:
        """Put the fault into a copy of the project."""
        file = root / self.file
        file.write_text(self.applied(file.read_text()))
