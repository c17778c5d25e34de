"""Outages of the model's server, each told once however many turns wait for its end."""

import logging

from turnstile.turns.repeated_errors import RecentTexts


class Outage:
    """The state of the model's server as this process sees it: one line when it goes away, one when it is back."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._recent = RecentTexts()
        self._away = self._told = False

    def note(self, message: str) -> None:
        """Note that the server was away; a server that comes and goes is told of once a minute."""
        if not self._away and self._recent.add("away"):
            self._log.warning("%s Turns wait for it, until their deadlines.", message)
            self._told = True
        self._away = True

    def over(self) -> None:
        """Note that the server has answered."""
        if self._told:
            self._log.warning("The model's server answers again.")
        self._away = self._told = False
