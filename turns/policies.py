"""The ways of a question into a session that is busy, or waits for answers to open calls."""

WHEN_HELD = ("queue", "reject", "close")
"""While calls are open: wait behind their answers, be refused, or close them and go on."""
WHEN_BUSY = ("queue", "reject", "interrupt", "rollback", "merge", "steer")
"""While another turn is at work: wait, be refused, end it with its words so far, cancel it, join others, or join it."""
STEERED = "steered"
"""The reason for which a turn begins anew: another question has become part of it."""
INTERRUPTED = "interrupted"
"""The code of a turn that another question has ended with what it had said."""

_HELD_THEN = {"reject": "reject", "interrupt": "close", "rollback": "close", "merge": "close", "steer": "close"}


def held_then(when_busy: str, default: str) -> str:
    """Return what a question does while calls are open: one that waits for no turn waits for no answers, either."""
    return _HELD_THEN.get(when_busy, default)


def pattern(words: tuple[str, ...]) -> str:
    """Return the pattern of a setting that is one of these words."""
    return f"^({'|'.join(words)})$"
