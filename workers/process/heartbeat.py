"""This process's place on the roll of workers, without which it takes no turn."""

import asyncio
import logging
import os
import socket
from typing import Any

import redis

from turnstile.turns.errors import QueueUnreachable, SettingError
from turnstile.turns.store import roster
from turnstile.turns.store.turns import AsyncTurnStore

log = logging.getLogger(__name__)


class Enlistment:
    """Enlists a worker, and says so again at every `renew`. `refusal` is why it must not work, in one line."""

    def __init__(self, store: AsyncTurnStore, worker: str, concurrency: int) -> None:
        self._store = store
        self._worker = worker
        self._facts: dict[str, Any] = {"host": socket.gethostname(), "pid": os.getpid(), "concurrency": concurrency}
        self._facts |= roster.introduce(store.settings)
        self._answered = asyncio.Event()
        self.refusal = ""

    async def check(self, seconds: float) -> None:
        """Look at who is there before anything starts; an unreachable server is left to `renew`.

        Raises:
            SettingError: a worker that is there works with another value of a setting that all must share.
        """
        settings = self._store.settings
        try:
            others = await asyncio.wait_for(self._store.roll(), seconds)
        except (QueueUnreachable, redis.RedisError, OSError, TimeoutError):
            return
        if objection := roster.objection(settings, others):
            raise SettingError(objection)
        for difference in roster.oddities(settings, others):
            log.warning("%s", difference)

    async def accepted(self) -> bool:
        """Whether this worker may work; waits for the first answer."""
        await self._answered.wait()
        return not self.refusal

    async def renew(self, **facts: Any) -> None:
        """Tell the others that this worker is at work, and what else there is to say."""
        now = await self._store.now()
        self._facts |= {"started": self._facts.get("started", now), "seen": now, **facts}
        self.refusal = await self._store.enlist(self._worker, self._facts)
        self._answered.set()

    async def leave(self) -> None:
        """Take this worker off the roll."""
        await self._store.client.hdel(self._store.keys.workers, self._worker)
        await self._store.client.zrem(self._store.keys.roll, self._worker)
