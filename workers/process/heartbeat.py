"""The heartbeat: this process's entry among the registered workers, without which it takes no turn."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Mapping
from typing import Any

import redis

from turnstile.turns.errors import QueueUnreachable
from turnstile.turns.store import registry
from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.workers.process.health import Beat
from turnstile.workers.process.service import tick

log = logging.getLogger(__name__)

_SECONDS = 2.0


class Heartbeat:
    """Announcements of one worker. `refusal` says in one line why it must not work, if it must not."""

    def __init__(self, store: AsyncTurnStore, worker: str, concurrency: int) -> None:
        self._store = store
        self._worker = worker
        self._facts: dict[str, Any] = {"host": socket.gethostname(), "pid": os.getpid(), "concurrency": concurrency}
        self._facts |= {**registry.introduce(store.settings), "model": registry.asked_model(store.settings)}
        self._answered = asyncio.Event()
        self.refusal = ""

    async def accepted(self) -> bool:
        """Wait for the first answer; return whether this worker may work."""
        await self._answered.wait()
        return not self.refusal

    async def run(self, facts: Callable[[], Mapping[str, Any]], give_back: Callable[[], None], beat: Beat) -> None:
        """Announce this worker with its latest `facts` until the process ends.

        A worker that is refused must not store anything: it gives its turns back, and ends itself.
        """
        while True:
            try:
                await self.renew(facts())
                beat()
            except (QueueUnreachable, redis.RedisError, OSError) as error:
                log.debug("heartbeat: %s", type(error).__name__)
            if self.refusal:
                return await self._retire(give_back, beat)
            await asyncio.sleep(_SECONDS)

    async def renew(self, facts: Mapping[str, Any]) -> None:
        """Announce this worker once."""
        now = await self._store.now()
        self._facts |= {"started": self._facts.get("started", now), "seen": now, **facts}
        # When Redis was away at the start, the schema is checked now.
        too_old = "" if self._answered.is_set() else await self._store.check_schema()
        self.refusal = too_old or await self._store.register_worker(self._worker, self._facts)
        self._answered.set()

    async def leave(self) -> None:
        """Remove this worker from the registered ones."""
        await self._store.client.hdel(self._store.keys.workers, self._worker)
        await self._store.client.zrem(self._store.keys.heard, self._worker)

    async def _retire(self, give_back: Callable[[], None], beat: Beat) -> None:
        log.error("this worker ends: %s", self.refusal)
        give_back()
        os.kill(os.getpid(), signal.SIGTERM)
        await tick(beat)
