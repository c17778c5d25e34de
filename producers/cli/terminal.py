"""The output of commands: results on stdout; notices on stderr, and only on a terminal."""

import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

# Escape sequences in an answer must not reach a person's terminal, nor characters that turn the direction of what follows.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Return a text as a person's terminal may get it: without control characters other than tabs and line ends."""
    return _CONTROLS.sub("", text)


class Terminal:
    """The output of one command. With `as_json` results are JSON, one value per line."""

    def __init__(self, as_json: bool = False) -> None:
        self.as_json = as_json
        self.interactive = sys.stdout.isatty()
        self._watched = sys.stderr.isatty()
        self._at_line_start = True
        self.wrote = False

    def result(self, text: str, value: Any, label: str = "") -> None:
        """Write a result: `text` for people, after a `label` that may have colours; `value` for programs."""
        if not self.as_json:
            self._put(label if self.interactive else click.unstyle(label))
        self.line(json.dumps(value, ensure_ascii=False) if self.as_json else text)

    def hanging(self, text: str) -> str:
        """Return a text whose further lines are indented for people, so that none looks like a result of its own."""
        return text.replace("\n", "\n  ") if self.interactive else text

    def line(self, text: str = "") -> None:
        """Write a line to stdout."""
        self.write(f"{text}\n")

    def write(self, text: str) -> None:
        """Write part of a line to stdout, at once."""
        self._put(printable(text) if self.interactive else text)
        self._at_line_start = text.endswith("\n") if text else self._at_line_start

    def _put(self, text: str) -> None:
        self.wrote = self.wrote or bool(text)
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()

    def end_line(self) -> None:
        """End an unfinished line."""
        if not self._at_line_start:
            self.line()

    def notice(self, text: str) -> None:
        """Write a notice to stderr if a person reads it."""
        if self._watched:
            self.complain(text)

    def complain(self, text: str) -> None:
        """Write to stderr."""
        if self.interactive:
            self.end_line()
        click.echo(click.style(printable(text), dim=True) if self._watched else text, err=True)

    @contextmanager
    def hint(self, text: str, seconds: float) -> Iterator[threading.Timer]:
        """Write a notice if the block still runs after `seconds`; cancel the timer if the notice is no longer useful."""
        timer = threading.Timer(seconds, self.notice, (text,))
        timer.daemon = True
        timer.start()
        try:
            yield timer
        finally:
            timer.cancel()
