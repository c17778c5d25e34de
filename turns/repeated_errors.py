"""Warnings that repeat: logged once a minute, not once a try."""

import logging
from time import monotonic

_AGAIN_SECONDS = 60.0
_MOST = 100


class RecentTexts:
    """Texts of the last minute."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def add(self, text: str) -> bool:
        """Add a text; return False if it was there already."""
        now = monotonic()
        if self._until.get(text, 0.0) > now:
            return False
        if len(self._until) >= _MOST:
            self._until.clear()
        self._until[text] = now + _AGAIN_SECONDS
        return True


class RepeatedWarnings:
    """Warnings of one logger, each text at most once a minute."""

    def __init__(self, name: str) -> None:
        self._log = logging.getLogger(name)
        self._recent = RecentTexts()

    def warn(self, text: str) -> None:
        """Log a warning, unless the same was logged within the last minute."""
        if self._recent.add(text):
            self._log.warning("%s", text)


class OneAMinute(logging.Filter):
    """A filter for a logger's warnings: each text passes once a minute, and tells how many like it were left out before."""

    def __init__(self) -> None:
        super().__init__()
        self._recent = RecentTexts()
        self._left_out: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Drop repetitions; lines of other levels pass."""
        if record.levelno != logging.WARNING:
            return True
        text = record.getMessage()
        if not self._recent.add(text):
            self._left_out[text] = self._left_out.get(text, 0) + 1
            return False
        if count := self._left_out.pop(text, 0):
            record.msg, record.args = "%s (and %s more like it since the last such line)", (text, f"{count:,}")
        if len(self._left_out) >= _MOST:
            self._left_out.clear()
        return True
