"""The results of a batch: JSON lines, of which each has `line`, `id`, `state`, and what its form of lines adds.

A result is appended as soon as its turn ends. A file that is no batch's own is never written to.
"""

import json
import os
import shutil
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import click

from turnstile.turns.text import dumps

ANSWERED = frozenset({"completed", "incomplete"})

_TEXTS = frozenset({"id", "state"})
_FIELDS = _TEXTS | {"line"}
_BEGINNING = b'{"line":'

Result = dict[str, Any]


class Results:
    """The results in a file by id, of earlier runs and of this one; without a `target` they go to stdout.

    Raises:
        click.UsageError: the file holds something else, or cannot be written.
    """

    def __init__(self, target: Path | None) -> None:
        self._target = target.resolve() if target else None
        self._file: TextIO | None = None
        self.known: dict[str, Result] = {}
        self._superseded = False
        if self._target and self._target.exists():
            self._read(self._target)

    def state(self, id: str) -> str:
        """Return the state of an id's result; empty if there is none."""
        return str(self.known[id]["state"]) if id in self.known else ""

    def __enter__(self) -> Self:
        if self._target is None:
            self._file = sys.stdout
            return self
        try:
            if self._superseded:
                self._rewrite(self._target)
            self._file = self._target.open("a", encoding="utf-8")
        except OSError as error:
            raise click.UsageError(f"{self._target} cannot be written: {error.strerror}.") from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._target and self._file:
            self._file.close()
            if self._superseded:
                self._rewrite(self._target)

    def write(self, result: Result) -> None:
        """Append a result at once; an earlier one of the same id no longer counts."""
        assert self._file
        self._file.write(dumps(result) + "\n")
        self._file.flush()
        self._superseded = self._superseded or result["id"] in self.known
        self.known[result["id"]] = result

    def _read(self, target: Path) -> None:
        try:
            *lines, rest = target.read_bytes().split(b"\n")
        except OSError as error:
            raise click.UsageError(f"{target} cannot be read: {error.strerror}.") from None
        for number, text in enumerate(lines, start=1):
            result = _result(text)
            if result is None:
                raise click.UsageError(f"{target}: line {number} is no result of a batch. Name another file for the results.")
            self._superseded = self._superseded or result["id"] in self.known
            self.known[result["id"]] = result
        if rest:
            self._read_rest(target, rest)

    def _read_rest(self, target: Path, rest: bytes) -> None:
        """Read a last line without its end: a run was cut off while it wrote, or an editor took the newline away."""
        result = _result(rest)
        if result:
            self.known[result["id"]] = result
        elif not rest.startswith(_BEGINNING) and not _BEGINNING.startswith(rest):
            raise click.UsageError(f"{target}: its end is no result of a batch. Name another file for the results.")
        self._superseded = True

    def _rewrite(self, target: Path) -> None:
        """Replace the file with one that holds each id's newest result, in one step."""
        fresh = target.with_name(f".{target.name}.{os.getpid()}.new")
        try:
            with fresh.open("w", encoding="utf-8") as file:
                file.writelines(dumps(result) + "\n" for result in self.known.values())
                file.flush()
                os.fsync(file.fileno())
            shutil.copymode(target, fresh)
            fresh.replace(target)
        finally:
            fresh.unlink(missing_ok=True)
        self._superseded = False


def _result(text: bytes) -> Result | None:
    try:
        result = json.loads(text)
    except (ValueError, RecursionError):
        return None
    whole = isinstance(result, dict) and result.keys() >= _FIELDS and all(isinstance(result[name], str) for name in _TEXTS)
    return result if whole else None
