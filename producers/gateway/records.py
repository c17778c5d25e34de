"""The parts of a turn's record that every resource shows: ids of items, the outcome in the API's words, tokens."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from turnstile.producers.gateway.edge.caller import RESPONSE
from turnstile.turns.states import State
from turnstile.turns.turn import Record

CONTENT_FILTER = "content_filter"

_ITEM_ID = re.compile(r"(?:msg|fc|fco|rs)_(?P<turn>.+?)(?:_[ia]\d+)?(?:_c\d+)?")


def input_id(turn: str, place: int) -> str:
    """Return the id of the message at `place` among those that a turn brings to its conversation."""
    return f"msg_{turn.removeprefix(RESPONSE)}_i{place}"


def output_id(turn: str, attempt: int) -> str:
    """Return the id of the answer that an attempt wrote."""
    return f"msg_{turn.removeprefix(RESPONSE)}" + (f"_a{attempt}" if attempt > 1 else "")


def turn_part(item: str) -> str | None:
    """Return the part of an item's id that names its turn; None if it is no item's id."""
    found = _ITEM_ID.fullmatch(item)
    return found["turn"] if found else None


def as_shown(record: Record) -> Record:
    """Return the record in the API's words: a turn that a content filter stopped is incomplete, not failed."""
    filtered = record.state is State.FAILED and record.code == CONTENT_FILTER
    return replace(record, state=State.INCOMPLETE) if filtered else record


def token_usage(usage: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return counts of tokens in the words of the Responses API; None if there are none."""
    if not usage:
        return None
    given, made = usage.get("input_token_details") or {}, usage.get("output_token_details") or {}
    return {
        "input_tokens": usage.get("input_tokens", 0),
        "input_tokens_details": {
            "cached_tokens": given.get("cache_read", 0),
            "cache_write_tokens": given.get("cache_creation", 0),
        },
        "output_tokens": usage.get("output_tokens", 0),
        "output_tokens_details": {"reasoning_tokens": made.get("reasoning", 0)},
        "total_tokens": usage.get("total_tokens", 0),
    }
