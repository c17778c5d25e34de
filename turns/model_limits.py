"""The limits of a model's server in its own headers: what it allows, what is left, and the patience that it asks for."""

import math
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from turnstile.turns.server_words import ServerWords
from turnstile.turns.store.budgets import CallEnd

USED_UP = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")
"""Codes of a 429 that no patience helps against."""
_RATE_LIMIT = 429
_MOST_SECONDS = 86_400.0
_DIGITS = 10
_MOST = 10**9


def answered(headers: Mapping[str, str], tokens: int) -> CallEnd:
    """Return the end of a call that was answered."""
    return CallEnd("answered", tokens, **_limits(headers))


def failed(error: BaseException) -> CallEnd:
    """Return the end of a call that failed: `limited` where the server asks everybody for patience."""
    headers: Mapping[str, str] = getattr(getattr(error, "response", None), "headers", None) or {}
    status = getattr(error, "status_code", None)
    return refused(status, headers, ServerWords.of(error)) if isinstance(status, int) else CallEnd("failed", **_limits(headers))


def refused(status: int, headers: Mapping[str, str], words: ServerWords) -> CallEnd:
    """Return the end of a call that the server refused."""
    if not _asks_for_patience(status, headers, words):
        return CallEnd("failed", **_limits(headers))
    return CallEnd("limited", pause=retry_after(headers) or 0.0, **_limits(headers))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from `retry-after-ms` or `retry-after` (seconds, or an HTTP date), a day at most; None without one."""
    try:
        if (value := headers.get("retry-after-ms")) is not None:
            seconds = float(value) / 1000
        elif (value := headers.get("retry-after")) is None:
            return None
        else:
            seconds = _seconds(value)
    except (ValueError, OverflowError, OSError):
        return None
    return min(max(seconds, 0.0), _MOST_SECONDS) if math.isfinite(seconds) else None


def _seconds(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return parsedate_to_datetime(value).timestamp() - time.time()


def _asks_for_patience(status: int, headers: Mapping[str, str], words: ServerWords) -> bool:
    if headers.get("x-should-retry") == "false" or words.code in USED_UP:
        return False
    if status == _RATE_LIMIT:
        return not words.too_long(status)
    return status >= 500 and retry_after(headers) is not None


def _limits(headers: Mapping[str, str]) -> dict[str, Any]:
    found = {"limit": "limit", "left": "remaining"}
    return {
        f"{name}_{kind}": _number(headers.get(f"x-ratelimit-{word}-{kind}"))
        for name, word in found.items()
        for kind in ("requests", "tokens")
    }


def _number(text: str | None) -> int | None:
    if not (text and text.isascii() and text.isdigit()):
        return None
    return int(text) if len(text) < _DIGITS else _MOST
