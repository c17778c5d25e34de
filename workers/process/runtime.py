"""The runtime of a worker process: its event loop, its services, its chain, and its turns, from start to stop."""

import asyncio
import gc
import logging
import os
import secrets
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import CancelledError
from contextlib import AsyncExitStack, suppress
from time import monotonic
from typing import Any

import redis

from turnstile.turns.asyncio_tasks import end_all
from turnstile.turns.redis.connection import close_async
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.turns.tracing import switch
from turnstile.workers.attempt.report import LOST, Report
from turnstile.workers.chains.load import load_chains
from turnstile.workers.chains.openai.model import check_names, close_model
from turnstile.workers.offline.server import OfflineModel
from turnstile.workers.process.checks import check_agreement, check_rights, check_schema, warn_of_server
from turnstile.workers.process.health import Beat, Health
from turnstile.workers.process.heartbeat import Heartbeat
from turnstile.workers.process.leases import LeaseKeeper
from turnstile.workers.process.loop import LoopThread
from turnstile.workers.process.naming_loop import own_hosts
from turnstile.workers.process.renewal import LeaseRenewal
from turnstile.workers.process.room import return_large_blocks
from turnstile.workers.process.service import start_all
from turnstile.workers.process.services import services
from turnstile.workers.process.turns import ShowStep, Turns, requeue
from turnstile.workers.tracing.start import attempts_traced
from turnstile.workers.webhooks.sender import WebhookSender

log = logging.getLogger(__name__)

_GARBAGE = (5_000, 20, 20)
_START_SECONDS = 60.0
_REDIS_SECONDS = 10.0
_SIGN_OFF_SECONDS = 1.0
_ABANDON_SECONDS = 0.7


class Runtime:
    """Everything a worker process needs to answer: start it once, `perform` from any thread, stop it at the end."""

    def __init__(
        self, settings: Settings, concurrency: int, show_step: ShowStep | None = None, *, delivers: bool = True
    ) -> None:
        self._settings = settings.model_copy(update={"concurrency": concurrency})
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self.health = Health(settings.health_file)
        self._loop = LoopThread(concurrency, own_hosts(settings))
        self._store = AsyncTurnStore(settings)
        self._leases = LeaseKeeper(self._store, self.name)
        self._renewal = LeaseRenewal(settings, self._leases)
        self._heartbeat = Heartbeat(self._store, self.name, concurrency)
        self._turns = Turns(self._store, self._leases, self._heartbeat, concurrency, show_step)
        self._webhooks: WebhookSender | None = None
        self._delivers = delivers
        self._services: list[asyncio.Task[None]] = []
        self._resources = AsyncExitStack()
        self._draining = threading.Event()
        self._grace_ends = 0.0
        self._stand_in: str | None = None

    def start(self) -> None:
        """Load the chain and start the loop.

        Raises:
            SettingError: the chain cannot be loaded, or other workers store by other settings.
        """
        return_large_blocks()
        self._turns.traced = attempts_traced(self._settings)
        self._loop.start()
        self._loop.submit(self._open()).result(_START_SECONDS)
        # Objects made at start-up stay: collections need not look at them.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GARBAGE)

    def perform(self, id: str) -> Report:
        """Work on a dispatched turn until this attempt is over, and return how it ended. Blocks; for a pool's thread."""
        try:
            return self._loop.submit(self._turns.perform(id)).result()
        except CancelledError:
            return Report(LOST)
        except Exception as error:
            # Celery clears the frames of whatever a task raises; those of the loop are at work, some of them for everybody.
            raise error.with_traceback(None) from None

    def notify(self, turn: str) -> None:
        """Deliver a turn's webhook, soon; for any thread."""
        if self._webhooks:
            self._loop.soon(self._webhooks.notify, turn)

    def drain(self) -> None:
        """Take nothing new; running turns get `shutdown_seconds`, then they go back into the queue."""
        if self._draining.is_set():
            return
        self._draining.set()
        self._grace_ends = monotonic() + self._settings.shutdown_seconds
        self.health.retire("main", "consuming")
        if self._webhooks:
            self._loop.soon(self._webhooks.drain)
        self._loop.soon(self._turns.drain, self._settings.shutdown_seconds)

    def give_back(self) -> None:
        """Take nothing new, and return all running turns to the queue now."""
        self._grace_ends = 0.0
        self._loop.soon(self._turns.give_back)

    def abandon(self) -> str:
        """Return the turns to the queue from another thread, for a loop that hangs; describe what hangs."""
        held = [turn.claim for turn in self._leases.held()]
        giving = threading.Thread(target=requeue, args=(self._settings, held), daemon=True)
        giving.start()
        giving.join(_ABANDON_SECONDS)
        return ", ".join([f"{len(held)} turns do not end", *(f"{name} hangs" for name in self.health.stale())])

    def stop(self) -> bool:
        """Close all connections, once no turn runs and webhooks have had their grace.

        Return False when a chain still blocks a thread.
        """
        self._loop.submit(self._finish_webhooks()).result(self._settings.shutdown_seconds + _START_SECONDS)
        self.health.stop()
        self._loop.submit(self._close()).result(self._settings.shutdown_seconds + _START_SECONDS)
        switch.stop()
        return self._loop.stop()

    async def _open(self) -> None:
        await check_rights(self._store, _REDIS_SECONDS)
        await check_schema(self._store, _REDIS_SECONDS)
        await check_agreement(self._store, _REDIS_SECONDS)
        await warn_of_server(self._store, _REDIS_SECONDS)
        await self._open_chain()
        self._webhooks = WebhookSender(self._settings, delivers=self._delivers)
        self._resources.push_async_callback(self._webhooks.close)
        self._services = start_all(
            services(self._store, self._leases, self._register, self._webhooks, self._turns.budgets.hear), self.health
        )
        self._renewal.start(self.health)
        self.health.start()
        try:
            await asyncio.wait_for(self._heartbeat.accepted(), _REDIS_SECONDS)
        except TimeoutError:
            log.warning("Redis does not answer yet; waiting for it")

    async def _open_chain(self) -> None:
        if self._settings.offline and self._settings.asks_models:
            self._stand_in = (await self._resources.enter_async_context(OfflineModel(port=0))).base_url
            log.warning("no OPENAI_API_KEY and no OPENAI_BASE_URL: the offline stand-in answers, not a model")
        self._turns.chains, models = await load_chains(self._settings, self._stand_in)
        for model in models:
            self._resources.push_async_callback(close_model, model)
        if not self._settings.offline:
            await check_names(models, self._settings)

    async def _register(self, beat: Beat) -> None:
        # A worker that does not listen yet does not count as present.
        with suppress(TimeoutError):
            await asyncio.wait_for(self._leases.listening.wait(), _REDIS_SECONDS)
        await self._heartbeat.run(self._facts, self._turns.give_back, beat)

    def _facts(self) -> Mapping[str, Any]:
        named = sorted(name for name in self._turns.chains if name)
        facts = {"running": len(self._leases), "stale": self.health.stale(), "chains": named}
        # A gateway on the same machine asks it for what is no turn.
        return {**facts, "stand_in": self._stand_in} if self._stand_in else facts

    async def _finish_webhooks(self) -> None:
        if self._webhooks:
            self._webhooks.drain()
            await self._webhooks.finish(max(0.0, self._grace_ends - monotonic()))

    async def _close(self) -> None:
        self._renewal.stop()
        await end_all(self._services)
        try:
            async with asyncio.timeout(_SIGN_OFF_SECONDS):
                await self._heartbeat.leave()
        except (redis.RedisError, OSError):
            log.debug("could not sign off")
        await self._resources.aclose()
        await close_async(self._store.url)
