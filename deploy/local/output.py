"""One stream for the lines of several processes: each line behind its process's name, in that process's colour."""

import threading
from collections import defaultdict, deque
from contextlib import suppress
from typing import TextIO

from rich.console import Console

_COLOURS = ("36", "33", "32", "35", "34", "96", "93", "92")
_RESET = "\x1b[0m"
_LAST_LINES = 20


class Output:
    """A writer of whole lines, for any thread. Colour only on a terminal, and never under NO_COLOR.

    `stream` may be None: then the lines are only kept, for `last`.
    """

    def __init__(self, stream: TextIO | None, width: int = 10) -> None:
        self._stream = stream
        self._width = width
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
                    self._stream.write(f"{self._prefix(name)}{text}\n")
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


def _wants_colour(stream: TextIO) -> bool:
    console = Console(file=stream)
    return console.is_terminal and not console.no_color
