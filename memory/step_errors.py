"""Errors of kept steps. Their messages name types and settings, never content."""

from turnstile.turns.errors import TurnstileError


class StepError(TurnstileError):
    """The steps of a graph cannot go on being kept, or be gone on from. `code` is one of `turns.errors.TurnFailed`'s."""

    code = "internal"


class StepNotStorable(StepError):
    """A value of a graph's state is too large, or of a type that is not stored."""

    code = "step_not_storable"


class StepsUnreadable(StepError):
    """The stored steps are damaged, gone, or of another version of the graph."""

    code = "steps_unreadable"


class LaneClosed(StepError):
    """The turn is in other hands, or this attempt is over: nothing is kept any more."""
