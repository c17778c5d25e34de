"""The states of a turn, and which may follow which."""

from enum import StrEnum


class State(StrEnum):
    """Return a turn's state."""

    QUEUED = "queued"
    """Accepted; waits in its session's mailbox, for a worker, or for its next attempt."""
    RUNNING = "running"
    """A worker holds its lease and asks the model."""
    COMPLETED = "completed"
    """Question and answer are in the history."""
    INCOMPLETE = "incomplete"
    """As completed, but the model stopped before the end of its answer, or another question did not wait for it."""
    FAILED = "failed"
    """Gave up; the history is untouched. An operator may retry it."""
    CANCELLED = "cancelled"
    """Called off; the history is untouched."""

    @property
    def ended(self) -> bool:
        """True when nothing more happens by itself."""
        return self not in (State.QUEUED, State.RUNNING)

    @property
    def answered(self) -> bool:
        """True when there is an answer."""
        return self in (State.COMPLETED, State.INCOMPLETE)


TRANSITIONS: dict[State, dict[State, str]] = {
    State.QUEUED: {State.RUNNING: "claim, merge", State.CANCELLED: "cancel, submit_held, follow, ask_scheduled"},
    State.RUNNING: {
        State.QUEUED: "requeue, sweep",
        State.COMPLETED: "finish",
        State.INCOMPLETE: "finish",
        State.FAILED: "finish, sweep",
        State.CANCELLED: "cancel, submit_held, follow, ask_scheduled",
    },
    State.COMPLETED: {},
    State.INCOMPLETE: {},
    State.FAILED: {State.QUEUED: "retry"},
    State.CANCELLED: {},
}
"""State → the states that may follow, each with the scripts that make the move."""
