"""Ids of items. Each tells the turn that it belongs to, and its place there, so that an item can be found again."""

import hashlib
import re

from turnstile.producers.gateway.edge.caller import RESPONSE
from turnstile.turns.output import MOST_CALL_ID

MOST_ID = MOST_CALL_ID
"""Characters of an item's id."""
_ITEM_ID = re.compile(r"(?:msg|fc|fco|rs|mcp|mcpa)_(?P<turn>.+?)(?:_[ia]\d+)?(?:_o\d+)?(?:_c[0-9a-f]{8})?")
_PLACE_OF_CALL = re.compile(r"(?:_[ia]\d+)?(?=_c[0-9a-f]{8}$)")


def input_id(turn: str, place: int) -> str:
    """Return the id of the message at `place` among those that a turn brings to its conversation."""
    return f"msg_{turn.removeprefix(RESPONSE)}_i{place}"


def output_id(turn: str, attempt: int) -> str:
    """Return the id of the answer that an attempt wrote."""
    return f"msg_{turn.removeprefix(RESPONSE)}" + (f"_a{attempt}" if attempt > 1 else "")


def kin(message: str, prefix: str, call: str | None = None, *, place: int | None = None) -> str:
    """Return the id of what belongs to a message: its reasoning, a call, or the output of a call."""
    ending = "" if place is None else f"_o{place}"
    if call is not None:
        ending += f"_c{hashlib.sha256(call.encode()).hexdigest()[:8]}"
    return f"{prefix}_{message.removeprefix('msg_')}{ending}"


def turn_part(item: str) -> str | None:
    """Return the part of an item's id that names its turn; None if it is no item's id."""
    found = _ITEM_ID.fullmatch(item) if len(item) <= MOST_ID else None
    return found["turn"] if found else None


def names_of(item: str) -> tuple[str, str]:
    """Return the names of an item by its id: a response tells of a call without the place of its message."""
    return item, _PLACE_OF_CALL.sub("", item, count=1)
