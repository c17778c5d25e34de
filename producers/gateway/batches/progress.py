"""The progress of a batch in its file."""

from collections import deque

from turnstile.turns.store.batches import Place


class Progress:
    """The place before which all lines have a result. Lines begin in their order, and end in any."""

    def __init__(self, before: Place) -> None:
        self.before = before
        self._ahead: dict[int, Place] = {}
        self._unfinished: deque[int] = deque()

    def begin(self, number: int) -> None:
        """Note a line that was read."""
        self._unfinished.append(number)

    def end(self, number: int, after: Place) -> None:
        """Note that a line has a result; the place moves on when all before it have one."""
        self._ahead[number] = after
        while self._unfinished and self._unfinished[0] in self._ahead:
            self.before = self._ahead.pop(self._unfinished.popleft())
