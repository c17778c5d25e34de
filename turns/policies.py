"""The ways of a question into a session that is busy, or waits for answers to open calls."""

WHEN_HELD = ("queue", "reject", "close")
"""While calls are open: wait behind their answers, be refused, or close them and go on."""
WHEN_BUSY = ("queue", "reject", "interrupt", "rollback")
"""While another turn is at work: wait, be refused, end that turn with what it has said, or cancel it."""
INTERRUPTED = "interrupted"
"""The code of a turn that another question has ended with what it had said."""

_HELD_THEN = {"reject": "reject", "interrupt": "close", "rollback": "close"}


def held_then(when_busy: str, default: str) -> str:
    """Return what a question does while calls are open: one that waits for no turn waits for no answers, either."""
    return _HELD_THEN.get(when_busy, default)


def pattern(words: tuple[str, ...]) -> str:
    """Return the pattern of a setting that is one of these words."""
    return f"^({'|'.join(words)})$"
