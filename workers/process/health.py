"""A worker's health, defined in one place: parts that must make progress, watched by a thread that depends on none of them.

The health file is touched, and the service manager told, only while every part is fresh, so that a probe costs one `stat`.
The same judgement goes into the worker's published entry, for `turnstile doctor`.
"""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from turnstile.turns.service_manager import ALIVE, READY, tell

log = logging.getLogger(__name__)

Beat = Callable[[], None]

_WATCH_SECONDS = 1.0


class Part:
    """A part that must make progress: it beats at each step, and is stale after `patience` seconds without a beat."""

    def __init__(self, name: str, patience: float) -> None:
        self.name = name
        self._patience = patience
        self._last = monotonic()

    def beat(self) -> None:
        """Report progress; for any thread."""
        self._last = monotonic()

    @property
    def age(self) -> float:
        """Seconds since the last beat."""
        return monotonic() - self._last

    @property
    def stale(self) -> bool:
        """Return whether the last beat is longer ago than the patience."""
        return self.age > self._patience


class Health:
    """The parts of one process, and which of them are stale. The file is touched only after `ready`."""

    def __init__(self, file: str = "", *, pace: float = _WATCH_SECONDS) -> None:
        self._file = Path(file) if file else None
        self._pace = pace
        self._parts: dict[str, Part] = {}
        self._ready, self._ended = threading.Event(), threading.Event()
        self._reported: set[str] = set()
        self._refused = False
        self._thread = threading.Thread(target=self._watch, name="health", daemon=True)

    def part(self, name: str, patience: float) -> Part:
        """Return the part of this name; make a fresh one if there is none."""
        return self._parts.setdefault(name, Part(name, patience))

    def retire(self, *names: str) -> None:
        """Stop watching these parts: they end before the process does."""
        for name in names:
            self._parts.pop(name, None)

    def stale(self) -> list[str]:
        """Return the names of the parts that make no progress."""
        return [part.name for part in list(self._parts.values()) if part.stale]

    def start(self) -> None:
        """Start watching."""
        self._thread.start()

    def ready(self) -> None:
        """Let the file be touched from now on, and say so."""
        self._ready.set()
        tell(READY)
        self._look()

    def stop(self) -> None:
        """Stop watching."""
        self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(self._pace):
            self._look()

    def _look(self) -> None:
        stale = set(self.stale())
        if hung := stale - self._reported:
            log.error("no progress: %s", ", ".join(sorted(hung)))
        if back := self._reported - stale:
            log.warning("progress again: %s", ", ".join(sorted(back)))
        self._reported = stale
        if self._ready.is_set() and not stale:
            tell(ALIVE)
            if self._file:
                self._touch(self._file)

    def _touch(self, file: Path) -> None:
        try:
            file.touch()
            self._refused = False
        except OSError as error:
            if not self._refused:
                log.error("TURNSTILE_HEALTH_FILE cannot be touched: %s", error.strerror)
            self._refused = True
