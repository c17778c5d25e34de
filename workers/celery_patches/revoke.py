"""Celery's remote control commands that revoke tasks, made to cancel turns.

Celery's own would have each worker discard the revoked ids' messages for three hours: a dispatch among them, and its session
would stand still.
"""

import logging
from collections.abc import Iterable
from typing import Any

import redis
from celery.utils.functional import maybe_list
from celery.worker.control import control_command
from celery.worker.state import revoked

from turnstile.turns.errors import InvalidTurn, TurnstileError, UnknownTurn
from turnstile.turns.ids import check_turn
from turnstile.workers.celery_patches.own_queues import turns

log = logging.getLogger(__name__)


@control_command(variadic="task_id", signature="[id1 [id2 [... [idN]]]]")
def revoke(state: Any, task_id: Any, **_: Any) -> Any:  # noqa: ARG001 - Celery's signature
    """Cancel turns by id, whether they wait or run."""
    return {"ok": f"{sum(map(_cancel, _ids(task_id)))} turns cancelled, or ended before"}


@control_command(variadic="task_id", args=[("signal", str)], signature="<signal> [id1 [id2 [... [idN]]]]")
def terminate(state: Any, task_id: Any, **_: Any) -> Any:
    """Cancel turns by id, as revoke does; no process is sent a signal."""
    return revoke(state, task_id)


@control_command(variadic="headers", signature="[key1=value1 [key2=value2 [... [keyN=valueN]]]]")
def revoke_by_stamped_headers(state: Any, headers: Any = None, **_: Any) -> Any:  # noqa: ARG001 - Celery's signature
    """Do nothing."""
    return {"ok": "turns have no stamped headers: revoke them by id"}


def _ids(value: Any) -> Iterable[Any]:
    return value if isinstance(value, (list, tuple)) else maybe_list(value) or ()


def _cancel(id: Any) -> bool:
    """Cancel one turn; False when there is none yet.

    Every worker hears of a revoke. One that comes before its message has become a turn is remembered for the intake.
    """
    try:
        # The id is remembered before the turn is looked up: the intake submits before it looks here.
        revoked.add(check_turn(id))
        turns().cancel(id, revoked=True)
    except (InvalidTurn, UnknownTurn):
        return False
    except (TurnstileError, redis.ResponseError) as error:
        log.error("turn %s could not be cancelled: %s", id, type(error).__name__)
        return False
    revoked.discard(id)
    return True
