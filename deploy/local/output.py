"""One stream for the lines of several processes: each behind its process's name, in that process's colour, or as JSON."""

import json
import threading
from collections import defaultdict, deque
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TextIO

from rich.console import Console

_COLOURS = ("36", "33", "32", "35", "34", "96", "93", "92")
_RESET = "\x1b[0m"
_LAST_LINES = 20


class Output:
    """A writer of whole lines, for any thread. Colour only on a terminal, and never under NO_COLOR.

    `stream` may be None: then the lines are only kept, for `last`. With `as_json` each line is a JSON object, in which
    `process` names its process.
    """

    def __init__(self, stream: TextIO | None, width: int = 10, *, as_json: bool = False) -> None:
        self._stream = stream
        self._width = width
        self._as_json = as_json
        self._coloured = stream is not None and _wants_colour(stream)
        self._colours: dict[str, str] = {}
        self._last: defaultdict[str, deque[str]] = defaultdict(lambda: deque(maxlen=_LAST_LINES))
        self._lock = threading.Lock()

    def line(self, name: str, text: str) -> None:
        """Print one line of the process `name`."""
        with self._lock:
            self._last[name].append(text)
            if self._stream is not None:
                # The reader of the stream may have gone; the processes go on.
                with suppress(OSError, ValueError):
                    self._stream.write(f"{_as_json(name, text) if self._as_json else self._prefix(name) + text}\n")
                    self._stream.flush()

    def last(self, name: str) -> list[str]:
        """Return the last lines of the process `name`, oldest first."""
        with self._lock:
            return list(self._last[name])

    def _prefix(self, name: str) -> str:
        label = f"{name:<{self._width}} | "
        if not self._coloured:
            return label
        colour = self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])
        return f"\x1b[{colour}m{label}{_RESET}"


def _as_json(name: str, text: str) -> str:
    """Return a line as a JSON object: a process's own with its name, or one made of a line that is none."""
    try:
        line: Any = json.loads(text)
    except ValueError:
        line = None
    if not isinstance(line, dict):
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"time": now, "level": "INFO", "logger": name, "message": text}
    return json.dumps({**line, "process": name}, ensure_ascii=False)


def _wants_colour(stream: TextIO) -> bool:
    console = Console(file=stream)
    return console.is_terminal and not console.no_color
