"""Processes that many tests share."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """A context entered for the first test that asks for it; for the next one anew, if its start failed or it has died."""

    def __init__(self, make: Callable[[], AbstractContextManager[T]], is_alive: Callable[[T], bool]) -> None:
        self._make = make
        self._is_alive = is_alive
        self._exits = ExitStack()
        self._entered: T | None = None

    def get(self) -> T:
        """Return what the context gives."""
        if self._entered is None or not self._is_alive(self._entered):
            self.close()
            self._entered = self._exits.enter_context(self._make())
        return self._entered

    def close(self) -> None:
        """Leave the context, if it was entered."""
        self._entered = None
        self._exits.close()
