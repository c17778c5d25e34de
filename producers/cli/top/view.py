"""The state of `turnstile top` on a terminal: the turn that is chosen, looked at, or to be cancelled, and the keys for it."""

from collections.abc import Mapping
from typing import Any

from turnstile.producers.cli.top.keyboard import DOWN, ENTER, ESCAPE, INTERRUPT, UP
from turnstile.producers.overview.turn import turn_facts
from turnstile.turns.errors import TurnstileError
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore

KEYS = "up/down choose   enter look   c cancel   r retry   q quit"
_MOVES = {UP: -1, "k": -1, DOWN: 1, "j": 1}


def turns_of(seen: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the turns of a look, each once: at work, waiting, failed."""
    found: dict[str, dict[str, Any]] = {}
    for kind in ("running", "waiting", "failed"):
        for turn in seen[kind]:
            found.setdefault(turn["turn"], turn)
    return list(found.values())


class View:
    """A person's view of the deployment."""

    def __init__(self, store: TurnStore, seen: Mapping[str, Any]) -> None:
        self._store, self.seen = store, seen
        self.per_second: Mapping[str, float] = {}
        self.chosen = ""
        """The id of the turn that keys are about; empty as long as none is chosen."""
        self.facts: Mapping[str, Any] | None = None
        """All that is known of a turn, while it is looked at."""
        self.note = KEYS
        self._asked = ""
        self.left = False

    def update(self, seen: Mapping[str, Any], per_second: Mapping[str, float]) -> None:
        """Take a new look."""
        self.seen, self.per_second = seen, per_second
        if self.facts:
            self._look()

    def press(self, key: str) -> None:
        """Do what a key stands for."""
        if key == INTERRUPT:
            raise KeyboardInterrupt
        if self._asked:
            self._confirm(key)
        elif key in _MOVES and not self.facts:
            self._move(_MOVES[key])
        elif key in ("q", ESCAPE) and self.facts:
            self.facts, self.note = None, KEYS
        elif key == "q":
            self.left = True
        elif self.chosen and key == ENTER:
            self._look()
        elif self.chosen and key in ("c", "r"):
            self._asked = "cancel" if key == "c" else "retry"
            self.note = f"{self._asked} turn {self.chosen}? y/n"

    def _move(self, by: int) -> None:
        ids = [turn["turn"] for turn in turns_of(self.seen)]
        if not ids:
            self.chosen = ""
        elif self.chosen in ids:
            self.chosen = ids[min(len(ids) - 1, max(0, ids.index(self.chosen) + by))]
        else:
            self.chosen = ids[0]

    def _confirm(self, key: str) -> None:
        asked, self._asked, self.note = self._asked, "", KEYS
        if key == "y":
            self._try(lambda: self._act(asked))

    def _act(self, asked: str) -> None:
        state: State = self._store.cancel(self.chosen) if asked == "cancel" else self._store.retry(self.chosen)
        self.note = f"{self.chosen}: {state}"

    def _look(self) -> None:
        def look() -> None:
            record = self._store.status(self.chosen)
            self.facts = turn_facts(record, show_content=self._store.settings.show_content)

        self._try(look)

    def _try(self, act: Any) -> None:
        try:
            act()
        except TurnstileError as error:
            self.facts, self.note = None, str(error)
