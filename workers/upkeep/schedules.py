"""The schedules: each worker asks the questions whose ticks are due, each tick once, however many workers come with it."""

import logging
from collections import Counter

from redis.exceptions import ResponseError

from turnstile.turns.errors import QueueMemoryFull, QueueUnreachable, TurnstileError
from turnstile.turns.ids import tenant_of
from turnstile.turns.repeated_errors import RecentTexts
from turnstile.turns.schedules import DueTick
from turnstile.turns.store.turns import AsyncTurnStore

log = logging.getLogger(__name__)

_AT_ONCE = 50
_OF_A_TENANT = 100
_ROUNDS = 20


class ScheduleAsker:
    """An asker of the questions that are due. A tenant that has had its share waits until all others were seen."""

    def __init__(self, store: AsyncTurnStore) -> None:
        self._store = store
        self._start = 0
        self._asked: Counter[str] = Counter()
        self._recent = RecentTexts()

    async def look(self) -> None:
        """Ask the questions that are due now, some at a time; the next look goes on with the others."""
        for _ in range(_ROUNDS):
            passed = [tenant for tenant, count in self._asked.items() if count >= _OF_A_TENANT]
            now, due, self._start = await self._store.claim_schedules(_AT_ONCE, self._start, passed)
            self._asked.update(tenant_of(tick.session) for tick in due)
            for tick in due:
                await self._ask(tick, now)
            if self._start < 0:
                self._start = 0
                self._asked.clear()
                if not passed:
                    return

    async def _ask(self, tick: DueTick, now: int) -> None:
        try:
            left_out, following = tick.step(now)
            refused = await self._store.ask_scheduled(tick, following, now=now, missed=left_out)
        except QueueMemoryFull:
            refused = "queue_memory_full"
        except QueueUnreachable:
            raise
        except (TurnstileError, ResponseError) as error:  # the others go on; another machine may know its time zone
            self._tell(tick, f"cannot be asked: {error if isinstance(error, TurnstileError) else type(error).__name__}")
            return
        if refused:
            self._tell(tick, f"is refused ({refused}) and tried again")

    def _tell(self, tick: DueTick, fault: str) -> None:
        """Log a fault of one schedule; of many that have the same, one a minute."""
        log.log(logging.WARNING if self._recent.add(fault) else logging.DEBUG, "schedule %s %s", tick.schedule, fault)
