"""The process's asyncio side: one event loop in a thread of its own, on which every turn of the process runs."""

import asyncio
import gc
import logging
import os
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from functools import partial
from traceback import extract_tb
from typing import Any, cast

import redis
import uvloop
from langchain_core.runnables import Runnable

from turnstile.turns.asyncio_tasks import end_all
from turnstile.turns.errors import QueueUnreachable, SettingError, TurnstileError
from turnstile.turns.redis.connection import close_async
from turnstile.turns.repeated_errors import Complaints
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import AsyncTurnStore, TurnStore
from turnstile.turns.turn import Claim
from turnstile.workers.attempt.attempt import Attempt
from turnstile.workers.attempt.insist import insist
from turnstile.workers.attempt.report import LOST, STALE, Report
from turnstile.workers.chains.load import check_chain, close_chain, load_chain
from turnstile.workers.offline.server import OfflineModel
from turnstile.workers.process.health import Beat, Health
from turnstile.workers.process.heartbeat import Enlistment
from turnstile.workers.process.leases import LeaseKeeper
from turnstile.workers.upkeep.intake import Intake
from turnstile.workers.upkeep.sweep import Upkeep
from turnstile.workers.webhooks.sender import WebhookSender

log = logging.getLogger(__name__)

Chore = Callable[[Beat], Coroutine[Any, Any, None]]

_GARBAGE = (5_000, 20, 20)
_BEAT_SECONDS = 2.0
_START_SECONDS = 60.0
_THREADS_SECONDS = 1.0
_LISTEN_SECONDS = 10.0
_PATIENCE_SECONDS = 10.0
_REST_SECONDS = 1.0
_SIGN_OFF_SECONDS = 1.0
_AGAIN_SECONDS = 1.0
_LEAVE_AFTER = 2
_ABANDON_SECONDS = 0.7


class Runtime:
    """Everything a worker process needs to answer: start it once, `perform` from any thread, stop it at the end."""

    def __init__(self, settings: Settings, concurrency: int) -> None:
        self._settings = settings.model_copy(update={"concurrency": concurrency})
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._store = AsyncTurnStore(settings)
        self._leases = LeaseKeeper(self._store, self.name)
        self._enlistment = Enlistment(self._store, self.name, concurrency)
        self.health = Health(settings.health_file)
        self._chain: Runnable[Any, Any] | None = None
        self._webhooks: WebhookSender | None = None
        self._loop = uvloop.new_event_loop()
        self._executor = ThreadPoolExecutor(concurrency, thread_name_prefix="chain")
        self._thread = threading.Thread(target=self._run_loop, name="turns", daemon=True)
        self._resources = AsyncExitStack()
        self._chores: list[asyncio.Task[None]] = []
        self._working: set[asyncio.Task[Any]] = set()
        self._draining = threading.Event()

    def start(self) -> None:
        """Load the chain and start the loop.

        Raises:
            SettingError: the chain cannot be loaded, or workers that came first store by other settings.
        """
        self._loop.set_default_executor(self._executor)
        self._thread.start()
        self._call(self._open(), _START_SECONDS)
        # What start-up has made stays: collections need not look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GARBAGE)

    def perform(self, id: str) -> Report:
        """Work on a dispatched turn until this attempt is over, and tell how it went. Blocks; for a pool's thread."""
        try:
            return asyncio.run_coroutine_threadsafe(self._perform(id), self._loop).result()
        except CancelledError:
            return Report(LOST)
        except Exception as error:
            # Celery clears the frames of whatever a task raises; those of the loop are at work, some of them for everybody.
            raise error.with_traceback(None) from None

    def notify(self, turn: str) -> None:
        """Deliver a turn's webhook, soon; for any thread."""
        self._loop.call_soon_threadsafe(self._notify, turn)

    def drain(self) -> None:
        """Take nothing new; running turns get `shutdown_seconds`, then they are given back."""
        if self._draining.is_set():
            return
        self._draining.set()
        self.health.retire("main", "consuming")
        self._loop.call_soon_threadsafe(self._drain)

    def give_back(self) -> None:
        """Take nothing new, and give back all running turns now."""
        self._loop.call_soon_threadsafe(self._give_back)

    def abandon(self) -> str:
        """Give back from another thread what is still held here; returns what is known of the reason."""
        held = self._leases.claims()
        giving = threading.Thread(target=self._requeue, args=(held,), daemon=True)
        giving.start()
        giving.join(_ABANDON_SECONDS)
        return ", ".join([f"{len(held)} turns do not end", *(f"{name} hangs" for name in self.health.stale())])

    def _requeue(self, held: list[Claim]) -> None:
        store = TurnStore(self._settings)
        with suppress(QueueUnreachable):
            for claim in held:
                store.requeue(claim, forgive=True)

    def stop(self) -> bool:
        """Close all connections, once no turn runs. False when a chain still blocks a thread."""
        self.health.stop()
        self._call(self._close(), self._settings.shutdown_seconds + _START_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_START_SECONDS)
        # A thread cannot be stopped; joining it in another one lets us leave without it.
        ending = threading.Thread(target=self._executor.shutdown, kwargs={"cancel_futures": True}, daemon=True)
        ending.start()
        ending.join(_THREADS_SECONDS)
        return not ending.is_alive()

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.set_exception_handler(_report)
        while True:
            try:
                return self._loop.run_forever()
            except BaseException as error:
                # asyncio lets SystemExit and KeyboardInterrupt out of a task, over all others; its awaiter is told as well.
                log.error("a chain raised %s", type(error).__name__)

    def _call(self, coroutine: Coroutine[Any, Any, None], seconds: float) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(seconds)

    async def _check_rights(self) -> None:
        """Raise SettingError when our Redis user lacks a right: turns would break off half-way. An outage tells nothing."""
        with suppress(QueueUnreachable, redis.RedisError, OSError, TimeoutError):
            async with asyncio.timeout(_LISTEN_SECONDS):
                if lacking := await self._store.lacking("worker"):
                    raise SettingError(f"the Redis user in REDIS_URL lacks {' '.join(lacking)}: grant them with ACL SETUSER.")

    async def _open(self) -> None:
        await self._check_rights()
        await self._enlistment.check(_LISTEN_SECONDS)
        base_url = None
        if self._settings.offline and not self._settings.chain:
            base_url = (await self._resources.enter_async_context(OfflineModel(port=0))).base_url
            log.warning("no OPENAI_API_KEY and no OPENAI_BASE_URL: the offline stand-in answers, not a model")
        self._chain = load_chain(self._settings, base_url)
        self._resources.push_async_callback(close_chain, self._chain)
        if not (self._settings.chain or self._settings.offline):
            await check_chain(self._chain)
        self._webhooks = WebhookSender(self._settings)
        self._resources.push_async_callback(self._webhooks.close)
        self._chores = [asyncio.create_task(_keep_at(*planned)) for planned in self._plan(self._webhooks)]
        self.health.start()
        try:
            await asyncio.wait_for(self._enlistment.accepted(), _LISTEN_SECONDS)
        except TimeoutError:
            log.warning("Redis does not answer yet; waiting for it")

    def _plan(self, webhooks: WebhookSender) -> Iterator[tuple[str, Chore, Beat]]:
        """What goes on beside the turns: each chore with its name and how it tells of its progress."""
        intake, upkeep = Intake(self._store), Upkeep(self._store, self.name)
        plan: list[tuple[str, float, Chore]] = [
            ("loop", 0, _turn_for_ever),
            ("enrolled", 0, self._enrol),
            ("renewing", self._settings.lease_seconds, self._leases.keep),
            ("subscribed", 5, self._leases.listen),
            ("roll", 0, upkeep.call_roll),
            ("sweeping", 3 * self._settings.sweep_seconds, upkeep.sweep),
            ("audit", 300, upkeep.audit),
            *(
                ("intake" if not n else f"intake {n}", 20, partial(intake.take_for_ever, q))
                for n, q in enumerate(intake.queues)
            ),
            ("webhooks", 3 * self._settings.sweep_seconds, webhooks.remind_for_ever),
        ]
        for name, own, chore in plan:
            yield name, chore, self.health.part(name, _PATIENCE_SECONDS + own).beat

    def _notify(self, turn: str) -> None:
        if self._webhooks:
            self._webhooks.notify(turn)

    async def _perform(self, id: str) -> Report:
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._working.add(task)
        task.add_done_callback(self._working.discard)
        if not await self._enlistment.accepted():
            return Report(STALE)
        nonce = secrets.token_hex(8)
        claim = await insist(lambda: self._store.claim(id, self.name, nonce), lambda: not self._draining.is_set())
        if isinstance(claim, str) or self._chain is None:
            return Report(STALE)
        attempt = Attempt(claim, self._chain, self._store)
        with self._leases.hold(attempt):
            return await attempt.run()

    def _drain(self) -> None:
        self._loop.call_later(self._settings.shutdown_seconds, self._give_back)

    def _give_back(self, times: int = 0) -> None:
        # Not once for all: a claim may be under way, and a chain may swallow a cancellation, as redis-py does.
        self._leases.drop_all("shutdown")
        if times >= _LEAVE_AFTER:
            # Redis takes nothing back: others will find that our leases have run out.
            for task in list(self._working):
                task.cancel()
        self._loop.call_later(_AGAIN_SECONDS, self._give_back, times + 1)

    async def _close(self) -> None:
        await end_all(self._chores)
        try:
            async with asyncio.timeout(_SIGN_OFF_SECONDS):
                await self._enlistment.leave()
        except (redis.RedisError, OSError):
            log.debug("could not sign off")
        await self._resources.aclose()
        await close_async(self._store.url)

    async def _enrol(self, beat: Beat) -> None:
        """Tell others that this process is at work, and which of its parts are not."""
        # Who does not listen is not counted as being there.
        with suppress(TimeoutError):
            await asyncio.wait_for(self._leases.listening.wait(), _LISTEN_SECONDS)
        while True:
            try:
                await self._enlistment.renew(running=len(self._leases), stale=self.health.stale())
                beat()
            except (QueueUnreachable, redis.RedisError, OSError) as error:
                log.debug("heartbeat: %s", type(error).__name__)
            if self._enlistment.refusal:
                return await self._retire(beat)
            await asyncio.sleep(_BEAT_SECONDS)

    async def _retire(self, beat: Beat) -> None:
        """End this process, which must not store anything; its turns go to the others."""
        log.error("this worker ends: %s", self._enlistment.refusal)
        self._give_back()
        os.kill(os.getpid(), signal.SIGTERM)
        await _turn_for_ever(beat)


async def _turn_for_ever(beat: Beat) -> None:
    while True:
        beat()
        await asyncio.sleep(_BEAT_SECONDS / 2)


def _report(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say what went wrong behind everybody's back, and where. What asyncio itself would log quotes the chain's arguments."""
    error = context.get("exception")
    frames = extract_tb(error.__traceback__)[-1:] if isinstance(error, BaseException) else ()
    log.error("left behind on the loop: %s %s", type(error).__name__, "".join(f"{f.filename}:{f.lineno}" for f in frames))


async def _keep_at(name: str, chore: Chore, beat: Beat) -> None:
    """Do a chore for ever. A worker that renews or sweeps no more would look alive, so no error may end it."""
    complaints = Complaints(__name__)
    while True:
        try:
            await chore(beat)
        except Exception as error:
            why = f": {error}" if isinstance(error, TurnstileError | redis.ResponseError) else ""
            complaints.tell(f"{name} failed with {type(error).__name__}{why} (it starts again)")
        await asyncio.sleep(_REST_SECONDS)
