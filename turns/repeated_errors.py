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
