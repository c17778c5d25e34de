"""The rate limits of the offline stand-in: so many requests and tokens of a model in any minute, told in OpenAI's headers."""

import math
import time
from collections import defaultdict, deque
from dataclasses import dataclass, field

Headers = list[tuple[bytes, bytes]]

_MINUTE = 60.0


@dataclass(slots=True)
class _Window:
    """The requests of the last minute: the moment and the amount of each."""

    came: deque[tuple[float, int]] = field(default_factory=deque)
    total: int = 0

    def forget(self, now: float) -> None:
        while self.came and self.came[0][0] <= now - _MINUTE:
            self.total -= self.came.popleft()[1]

    def add(self, now: float, amount: int) -> None:
        self.came.append((now, amount))
        self.total += amount

    def wait(self, now: float, amount: int, most: int) -> float:
        """Return the seconds until so much more fits; 0 when it fits now."""
        excess = self.total + amount - most
        for at, gone in self.came if excess > 0 else ():
            excess -= gone
            if excess <= 0:
                return max(0.001, at + _MINUTE - now)
        return 0.0 if excess <= 0 else _MINUTE


class RateLimits:
    """The requests and tokens of each model in the last minute."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, str], _Window] = defaultdict(_Window)

    def take(self, model: str, tokens: int, most_requests: int, most_tokens: int) -> tuple[float, Headers]:
        """Count a request, or return the seconds until it may come; and what the headers tell. 0 is no limit."""
        now, told = time.monotonic(), Headers()
        kinds = [
            (kind, amount, most)
            for kind, amount, most in (("requests", 1, most_requests), ("tokens", tokens, most_tokens))
            if most
        ]
        for kind, _, _ in kinds:
            self._windows[model, kind].forget(now)
        wait = max((self._windows[model, kind].wait(now, amount, most) for kind, amount, most in kinds), default=0.0)
        for kind, amount, most in kinds:
            window = self._windows[model, kind]
            if not wait:
                window.add(now, amount)
            told += _headers(kind, most, max(0, most - window.total), window.came[0][0] + _MINUTE - now if window.came else 0.0)
        return wait, told


def _headers(kind: str, most: int, left: int, reset: float) -> Headers:
    facts = {"limit": str(most), "remaining": str(left), "reset": f"{max(0.0, reset):.3f}s"}
    return [(f"x-ratelimit-{name}-{kind}".encode(), value.encode()) for name, value in facts.items()]


def patience(seconds: float) -> Headers:
    """Return the headers of a refusal."""
    return [(b"retry-after", str(math.ceil(seconds)).encode()), (b"retry-after-ms", str(math.ceil(seconds * 1000)).encode())]
