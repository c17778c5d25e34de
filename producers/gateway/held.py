"""The memory that a stream holds of its turn."""

from collections.abc import Sequence
from sys import getsizeof
from typing import Any

from turnstile.turns.turn import Event, TurnResult


class HeldOfTurn:
    """The bytes of a turn's record and of a batch of its events, while a stream tells of them."""

    def __init__(self) -> None:
        self.record_bytes = self.batch_bytes = 0

    def hold_batch(self, batch: Sequence[Event]) -> None:
        """Count a batch."""
        self.batch_bytes = sum(getsizeof(event.data) for event in batch)

    def hold_record(self, record: TurnResult) -> TurnResult:
        """Count those parts of a record that may be large, and return it."""
        options = record.options
        parts = [options.instructions, options.tools, options.request, options.metadata, options.response_format, record.output]
        self.record_bytes = sum(map(weight, filter(None, parts)))
        return record

    def let_go(self) -> None:
        """Count neither any more: nobody knows when the turn's next event comes."""
        self.record_bytes = self.batch_bytes = 0


def weight(value: Any) -> int:
    """Return the bytes of memory that a JSON value takes."""
    size = getsizeof(value)
    if isinstance(value, dict):
        return size + sum(map(weight, value)) + sum(map(weight, value.values()))
    return size + sum(map(weight, value)) if isinstance(value, (list, tuple)) else size
