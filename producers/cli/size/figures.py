"""The measured figures: `make capacity` writes them, docs/scaling.md shows them, and `turnstile size` reckons with them."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = Path(__file__).with_name("figures.json")


@dataclass(frozen=True, slots=True)
class Figures:
    """Costs on one core of the machine that was measured: CPU in milliseconds, memory in bytes."""

    worker_plain_ms: float
    worker_streamed_ms: float
    worker_step_ms: float
    redis_plain_ms: float
    redis_streamed_ms: float
    redis_step_ms: float
    gateway_plain_ms: float
    gateway_streamed_ms: float
    worker_idle_bytes: int
    worker_turn_bytes: int
    """In the worker, for each turn in flight."""
    gateway_idle_bytes: int
    record_bytes: int
    """In Redis, for each turn until its record expires; the stream's events are apart."""
    events_bytes: int
    session_bytes: int
    """In Redis, for each session beside its messages."""
    message_bytes: int
    waiting_bytes: int
    """In Redis, for each turn that waits."""

    def rounded(self) -> "Figures":
        """Return the figures as they are kept and shown."""
        return Figures(**{name: round(value, 3) for name, value in asdict(self).items()})


def read() -> Figures:
    """Return the figures of the last measurement."""
    return Figures(**json.loads(FILE.read_text()))


def write(figures: Figures) -> None:
    """Keep the figures of a measurement."""
    FILE.write_text(json.dumps(asdict(figures), indent=2) + "\n")
