"""Troubles that last are told once a minute, not once a try."""

import logging
from time import monotonic

_AGAIN_SECONDS = 60.0
_MOST = 100


class Complaints:
    """Warnings of one logger, each text at most once a minute."""

    def __init__(self, name: str) -> None:
        self._log = logging.getLogger(name)
        self._told: dict[str, float] = {}

    def tell(self, text: str) -> None:
        """Warn, unless just this was said a moment ago."""
        now = monotonic()
        if now - self._told.get(text, -_AGAIN_SECONDS) < _AGAIN_SECONDS:
            return
        if len(self._told) >= _MOST:
            self._told.clear()
        self._told[text] = now
        self._log.warning("%s", text)
