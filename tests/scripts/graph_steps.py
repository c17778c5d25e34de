"""The steps of a graph, as workers keep them: a checkpoint, what a task wrote after it, the next checkpoint, and so on."""

from collections.abc import Mapping
from typing import Any

from turnstile.turns.store.steps import Place, StoredCheckpoint
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.turn import Claim

GRAPH, _TASK = "graph", "task"
_TOPIC = ("topic", "1")


def next_step(store: TurnStore, claim: Claim, thread: str, calls: int) -> Any:
    """Keep the step that comes after so many calls; tell whether the turn is still the caller's."""
    number, known = calls // 2 + 1, f"known by {claim.token}"
    place = Place(thread, GRAPH, str(number))
    if calls % 2:
        return store.put_writes(claim, place, _TASK, {0: f"written {number}".encode()}, known=known)
    values = {("messages", str(number)): f"value {number}".encode()}
    channels = [*values, _TOPIC]
    new = values if calls else {**values, _TOPIC: b"tea"}
    return store.put_checkpoint(claim, place, f"step {number}".encode(), channels, new, known=known)


def after_calls(calls: int, known: str) -> StoredCheckpoint:
    """Return what the next attempt is to read after so many calls, with what was known at first."""
    number = str((calls + 1) // 2)
    values = {("messages", number): f"value {number}".encode(), _TOPIC: b"tea"}
    writes = {(_TASK, 0): f"written {number}".encode()} if calls % 2 == 0 else {}
    return StoredCheckpoint(number, f"step {number}".encode(), known, values, writes)


def knower(id: str, turn: Mapping[str, str]) -> str:
    """Return whose known messages a turn goes on from: those who answer the same calls share them."""
    return f">{turn['answers']}" if turn.get("answers") else id
