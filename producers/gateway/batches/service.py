"""The work on batches of one gateway process: it takes those that nobody works on, a few at once."""

import asyncio
import logging
import secrets

from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.batches.run import BatchRun, LostBatch, keep
from turnstile.turns.asyncio_tasks import end_all
from turnstile.turns.errors import QueueUnreachable, TurnstileError

log = logging.getLogger(__name__)

AT_ONCE = 4
KEEP_SECONDS = 5.0
LOOK_SECONDS = 1.0


async def work_on_batches(backend: Backend) -> None:
    """Work on batches until cancelled."""
    running: set[asyncio.Task[None]] = set()
    try:
        while True:
            if len(running) < AT_ONCE and (task := await _take(backend)):
                running.add(task)
                task.add_done_callback(running.discard)
            else:
                await asyncio.sleep(LOOK_SECONDS)
    finally:
        await end_all(running)


async def _take(backend: Backend) -> "asyncio.Task[None] | None":
    token = secrets.token_hex(8)
    try:
        id = await backend.store.claim_batch(token)
    except TurnstileError as error:
        log.debug("no batch could be taken: %s", error)
        return None
    return asyncio.create_task(_work(backend, id, token)) if id else None


async def _work(backend: Backend, id: str, token: str) -> None:
    try:
        run = BatchRun(backend, await backend.store.read_batch(id), token)
        working = asyncio.ensure_future(run.run())
        keeping = asyncio.ensure_future(keep(run, backend, id, token, KEEP_SECONDS))
        try:
            done, _ = await asyncio.wait({working, keeping}, return_when=asyncio.FIRST_COMPLETED)
            done.pop().result()
        finally:
            await end_all([working, keeping])
    except LostBatch:
        log.info("batch %s has another owner", id)
    except QueueUnreachable as error:
        log.warning("batch %s is left to be taken up again: %s", id, error)
    except Exception:
        log.exception("batch %s is left to be taken up again", id)
