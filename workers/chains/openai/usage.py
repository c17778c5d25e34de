"""The tokens that a model's server says it used. Numbers that cannot be true count as not told."""

from typing import Any

from turnstile.workers.chains.openai.chunks import Chunk

_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
_DETAILS = ("prompt_tokens_details", "completion_tokens_details")
_MOST = 10**9


class LatestUsage:
    """Takes the usage out of chunks. Some servers send it with each, and each time for all of the answer so far."""

    def __init__(self) -> None:
        self.chunk: Chunk = {}
        """A chunk with the latest usage alone, for the end of the answer; empty while none was told."""

    def hold(self, chunk: Chunk) -> Chunk:
        """Return the chunk without its usage."""
        if (told := chunk.pop("usage", None)) and (usage := plausible(told)):
            self.chunk = {"choices": [], "usage": usage, "service_tier": chunk.get("service_tier")}
        return chunk


def plausible(usage: object) -> dict[str, Any] | None:
    """Return a usage without those details that are no counts; None if its own numbers are none."""
    if not isinstance(usage, dict) or not all(map(_is_count, map(usage.get, _COUNTS))):
        return None
    details = {name: _counts(usage[name]) for name in _DETAILS if name in usage}
    return usage | {name: int(usage[name]) for name in _COUNTS if usage.get(name) is not None} | details


def _counts(details: object) -> dict[str, int]:
    found = details.items() if isinstance(details, dict) else ()
    return {name: int(value) for name, value in found if value is not None and _is_count(value)}


def _is_count(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and 0 <= value < _MOST)
