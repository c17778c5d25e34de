"""The schedules: each worker asks the questions whose ticks are due, each tick once, however many workers come with it."""

import logging

from redis.exceptions import ResponseError

from turnstile.turns.errors import QueueMemoryFull, QueueUnreachable, TurnstileError
from turnstile.turns.schedules import DueTick
from turnstile.turns.store.turns import AsyncTurnStore

log = logging.getLogger(__name__)

_AT_ONCE = 50
_ROUNDS = 20


async def ask_scheduled(store: AsyncTurnStore) -> None:
    """Ask the questions that are due now, some at a time; the next look goes on with the others."""
    for _ in range(_ROUNDS):
        now, due = await store.claim_schedules(_AT_ONCE)
        for tick in due:
            await _ask(store, tick, now)
        if len(due) < _AT_ONCE:
            return


async def _ask(store: AsyncTurnStore, tick: DueTick, now: int) -> None:
    try:
        left_out, following = tick.step(now)
        refused = await store.ask_scheduled(tick, following, missed=left_out)
    except QueueMemoryFull:
        refused = "queue_memory_full"
    except QueueUnreachable:
        raise
    except (TurnstileError, ResponseError) as error:  # the others go on; another machine may know its time zone
        reason = error if isinstance(error, TurnstileError) else type(error).__name__
        log.warning("schedule %s cannot be asked: %s", tick.schedule, reason)
        return
    if refused:
        log.warning("schedule %s is refused (%s) and tried again", tick.schedule, refused)
