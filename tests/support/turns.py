"""Turns that tests wait for."""

from tests.support.wait import wait_until
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.turn import Record


def ended(turns: TurnStore, turn: str) -> Record:
    """Wait for the end of a turn, and return its record."""
    wait_until(lambda: turns.status(turn).state.ended, f"{turn} has ended")
    return turns.status(turn)
