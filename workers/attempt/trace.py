"""The trace that a failed attempt leaves in the log: the error's type and place; its text only where content may be shown."""

import logging

from turnstile.turns.model_failures import Failure
from turnstile.turns.settings import Settings
from turnstile.workers.chains.origin import place, type_name
from turnstile.workers.chains.run import ToolRaised

log = logging.getLogger(__name__)


def trace(turn: str, error: BaseException, failure: Failure, settings: Settings) -> None:
    """Log a failed attempt, as an error if the chain itself failed; with its whole traceback if content may be shown."""
    if isinstance(error, ToolRaised) and error.__cause__:
        error = error.__cause__
    level = logging.ERROR if failure.code == "chain_error" else logging.INFO
    shown = (type(error), error, error.__traceback__) if settings.show_content else None
    log.log(level, "turn %s: %s: %s at %s", turn, failure.code, type_name(error), place(error, settings.chain), exc_info=shown)
