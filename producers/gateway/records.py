"""The parts of a turn's record that every resource shows: the outcome in the API's words, tokens."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from turnstile.turns.states import State
from turnstile.turns.turn import TurnResult

CONTENT_FILTER = "content_filter"


def as_shown(record: TurnResult) -> TurnResult:
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
