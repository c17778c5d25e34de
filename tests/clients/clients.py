"""The clients: one folder each in programs/, with a script, its pinned packages, and the lines that docs/clients.md shows."""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PROGRAMS = Path(__file__).parent / "programs"
_SHOWN = re.compile(r"^[ \t]*(?:#|//) >>> ?(?P<language>\w*)\n(?P<lines>.*?)^[ \t]*(?:#|//) <<<$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Client:
    """One client program: `client.py` with `requirements.txt`, or `client.mjs` with `package.json`."""

    name: str

    @property
    def folder(self) -> Path:
        """The folder of its script."""
        return PROGRAMS / self.name

    @property
    def script(self) -> Path:
        """The script, which prints what worked."""
        return self.folder / ("client.mjs" if self.in_node else "client.py")

    @property
    def in_node(self) -> bool:
        """True for npm's packages."""
        return self.pins.suffix == ".json"

    @property
    def pins(self) -> Path:
        """The file that names its packages."""
        pins = self.folder / "package.json"
        return pins if pins.exists() else self.folder / "requirements.txt"

    @cached_property
    def version(self) -> str:
        """The version of the client's package, which its file names first."""
        if self.in_node:
            return str(next(iter(json.loads(self.pins.read_text())["dependencies"].values())))
        return self.pins.read_text().splitlines()[0].partition("==")[2]

    @property
    def shown(self) -> list[str]:
        """The lines between the marks of its files, fenced for Markdown."""
        texts = [file.read_text() for file in sorted(self.folder.iterdir()) if file != self.pins]
        return [line for text in texts for found in _SHOWN.finditer(text) for line in _fenced(found)]


def clients() -> list[Client]:
    """Return every client, by name."""
    return [Client(folder.name) for folder in sorted(PROGRAMS.iterdir()) if (folder / "client.py").exists() or _in_node(folder)]


def _in_node(folder: Path) -> bool:
    return (folder / "client.mjs").exists()


def _fenced(found: re.Match[str]) -> list[str]:
    lines = found["lines"].splitlines()
    indent = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    return ["```" + found["language"], *(line[indent:] for line in lines), "```"]
