"""The keys that a person presses, one by one."""

import select
import sys
from types import TracebackType

from prompt_toolkit.input import create_input
from prompt_toolkit.keys import Keys

UP, DOWN, ENTER, ESCAPE, INTERRUPT = Keys.Up.value, Keys.Down.value, Keys.Enter.value, Keys.Escape.value, Keys.ControlC.value
_REST_OF_A_KEY = 0.1


class Keyboard:
    """The keyboard of a terminal, whose keys come at once and are not shown."""

    def __init__(self) -> None:
        self._input = create_input(sys.stdin)
        self._raw = self._input.raw_mode()

    def __enter__(self) -> "Keyboard":
        self._raw.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._raw.__exit__(kind, error, trace)

    def pressed(self, seconds: float) -> list[str]:
        """Return the keys that are pressed within so many seconds. Raises KeyboardInterrupt when the terminal is gone."""
        if not self._waits(seconds):
            return []
        found = self._input.read_keys()
        if self._input.closed:
            raise KeyboardInterrupt
        # Escape is a key, and how others begin.
        if not found and not self._waits(_REST_OF_A_KEY):
            found = self._input.flush_keys()
        return [str(getattr(press.key, "value", press.key)) for press in found]

    def _waits(self, seconds: float) -> bool:
        return bool(select.select([self._input.fileno()], [], [], max(0.0, seconds))[0])
