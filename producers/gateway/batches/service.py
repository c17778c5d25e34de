"""The work on batches of one gateway process: it takes those that nobody works on, a few at once, and makes room for others."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from contextlib import suppress

from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.batches.run import BatchRun, LostBatch
from turnstile.turns.asyncio_tasks import end_all
from turnstile.turns.errors import QueueUnreachable, TurnstileError

log = logging.getLogger(__name__)

AT_ONCE = 16
KEEP_SECONDS = 5.0
LOOK_SECONDS = 1.0
SLICE_SECONDS = 30.0
"""Time after which a batch makes room for one that waits while the gateway has as many as it may."""


class BatchService:
    """A gateway's work on batches."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._running: dict[asyncio.Task[None], tuple[str, str]] = {}

    async def work(self) -> None:
        """Work on batches until cancelled."""
        try:
            while True:
                if self._is_full() or not await self._take():
                    await asyncio.sleep(LOOK_SECONDS)
        finally:
            await end_all(self._running)

    async def release(self) -> None:
        """Let other gateways have the batches that were left, at once."""
        for id, token in self._running.values():
            await self._release(id, token)

    def _is_full(self) -> bool:
        self._running = {task: hold for task, hold in self._running.items() if not task.done()}
        return len(self._running) >= AT_ONCE

    async def _take(self) -> bool:
        token = secrets.token_hex(8)
        try:
            id = await self._backend.store.claim_batch(token)
        except TurnstileError as error:
            log.debug("no batch could be taken: %s", error)
            return False
        if id:
            self._running[asyncio.create_task(self._work(id, token))] = (id, token)
        return bool(id)

    async def _work(self, id: str, token: str) -> None:
        try:
            store = self._backend.store
            run = BatchRun(self._backend, await store.read_batch(id), token, await store.now())
            working = asyncio.ensure_future(run.run())
            keeping = asyncio.ensure_future(keep(run, self._backend, id, token, self._is_full))
            try:
                done, _ = await asyncio.wait({working, keeping}, return_when=asyncio.FIRST_COMPLETED)
                done.pop().result()
            finally:
                await end_all([working, keeping])
            await self._release(id, token)
        except LostBatch:
            log.info("batch %s has another owner", id)
        except QueueUnreachable as error:
            log.warning("batch %s is left to be taken up again: %s", id, error)
        except Exception:
            log.exception("batch %s is left to be taken up again", id)

    async def _release(self, id: str, token: str) -> None:
        """Let a batch go, if it has not ended."""
        with suppress(TurnstileError):
            await self._backend.store.release_batch(id, token)


async def keep(run: BatchRun, backend: Backend, batch: str, token: str, crowded: Callable[[], bool]) -> None:
    """Keep a batch until another one needs its place; stop the run when the batch is cancelled or overdue. Raises LostBatch."""
    began = time.monotonic()
    while True:
        await asyncio.sleep(KEEP_SECONDS)
        with suppress(QueueUnreachable):
            hold = await backend.store.renew_batch(batch, token)
            if hold is None:
                raise LostBatch
            if hold.waiting and crowded() and time.monotonic() - began > SLICE_SECONDS:
                return
            await run.sign.look(hold.state, await backend.store.now())
