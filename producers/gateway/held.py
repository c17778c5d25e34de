"""The memory that a stream holds of its turn."""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
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
        """Count a record, and return it."""
        self.record_bytes = weight(record)
        return record

    def let_go(self) -> None:
        """Count neither any more: nobody knows when the turn's next event comes."""
        self.record_bytes = self.batch_bytes = 0


def weight(value: Any) -> int:
    """Return the bytes of memory that a record, or any part of one, takes."""
    parts: Any = ()
    if isinstance(value, dict):
        parts = (part for pair in value.items() for part in pair)
    elif isinstance(value, (list, tuple)):
        parts = value
    elif is_dataclass(value):
        parts = (getattr(value, field.name) for field in fields(value))
    return getsizeof(value) + sum(map(weight, parts))
