"""Troubles that last are told once a minute, not once a try."""

import logging
from time import monotonic

_AGAIN_SECONDS = 60.0
_MOST = 100


class Said:
    """Texts of the last minute."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def first(self, text: str) -> bool:
        """Return whether a text comes for the first time in a minute."""
        now = monotonic()
        if self._until.get(text, 0.0) > now:
            return False
        if len(self._until) >= _MOST:
            self._until.clear()
        self._until[text] = now + _AGAIN_SECONDS
        return True


class Complaints:
    """Warnings of one logger, each text at most once a minute."""

    def __init__(self, name: str) -> None:
        self._log = logging.getLogger(name)
        self._said = Said()

    def tell(self, text: str) -> None:
        """Warn, unless just this was said a moment ago."""
        if self._said.first(text):
            self._log.warning("%s", text)
