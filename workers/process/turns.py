"""The turns of a worker process: claimed, at work, and returned to the queue at the end."""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import monotonic
from typing import Any, cast

from turnstile.turns.errors import QueueUnreachable
from turnstile.turns.logs import about_turn, lines_about
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import AsyncTurnStore, TurnStore
from turnstile.turns.turn import Claim
from turnstile.workers.attempt.attempt import Attempt
from turnstile.workers.attempt.content import Content
from turnstile.workers.attempt.insist import insist
from turnstile.workers.attempt.recovery import Recoveries
from turnstile.workers.attempt.report import STALE, Report
from turnstile.workers.budgets.shared import SharedBudgets
from turnstile.workers.chains.run import AnyChain
from turnstile.workers.process.heartbeat import Heartbeat
from turnstile.workers.process.leases import LeaseKeeper
from turnstile.workers.process.naming_loop import lookups_of
from turnstile.workers.process.room import Room, Take
from turnstile.workers.tracing.start import Traced, untraced

log = logging.getLogger(__name__)

_REPEAT_SECONDS = 1.0
_CANCEL_AFTER = 2


ShowStep = Callable[[str, str], object]
"""Shows a turn's id and the name of the step that it has begun; may block."""


class Turns:
    """The turns at work on one event loop, where all methods are called."""

    def __init__(
        self, store: AsyncTurnStore, leases: LeaseKeeper, heartbeat: Heartbeat, slots: int, show_step: ShowStep | None = None
    ) -> None:
        self.chains: Mapping[str, AnyChain] = {}
        self.budgets = SharedBudgets(store)
        self._recoveries = Recoveries(store)
        self.traced: Traced = untraced
        self._store = store
        self._leases = leases
        self._heartbeat = heartbeat
        self._slots = slots
        self._show_step = show_step
        self._room, self._content = Room(store.settings), Content(store)
        self._working: set[asyncio.Task[Any]] = set()
        self._draining = False

    async def perform(self, id: str) -> Report:
        """Claim a dispatched turn, and work on it until this attempt is over."""
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._working.add(task)
        task.add_done_callback(self._working.discard)
        if not await self._heartbeat.accepted():
            return Report(STALE)
        nonce = secrets.token_hex(8)
        claim = await insist(
            lambda: self._store.claim(id, self._leases.worker, nonce, self._free()), lambda: not self._draining
        )
        if isinstance(claim, str):
            return Report(STALE)
        with self._room.hold(claim.session) as take_room:
            return await (self._work_on_large if claim.large else self._work_on)(claim, take_room)

    async def _work_on_large(self, claim: Claim, take_room: Take) -> Report:
        attempt = self._attempt(claim, take_room)
        with self._leases.hold(attempt):
            if not take_room(claim.size):
                return await attempt.put_off()
            return await self._work_on(await self._content.whole(claim), take_room)

    async def _work_on(self, claim: Claim, take_room: Take) -> Report:
        attempt = self._attempt(claim, take_room)
        facts = about_turn(claim.id, claim.session, claim.attempt, claim.options.traceparent)
        with (
            self._leases.hold(attempt),
            lines_about(lambda: facts),
            lookups_of(claim.session),
            self.traced(claim) as note_end,
        ):
            began = monotonic()
            report = await attempt.run()
            note_end(report)
            counted = self._store.settings.max_attempts - claim.attempts_left - (not attempt.counts)
            uncounted = f", {claim.attempt - counted} not counted" if claim.attempt > counted else ""
            seconds = monotonic() - began
            log.info("turn %s: attempt %d %s after %.3f s%s", claim.id, claim.attempt, report.status, seconds, uncounted)
            return report

    def _attempt(self, claim: Claim, take_room: Take) -> Attempt:
        chain, parts = self.chains.get(claim.chain or ""), (self.budgets, take_room, self._recoveries)
        attempt = Attempt(claim, chain, self._store, self._step, *parts)
        if self._draining:
            attempt.drain()
        return attempt

    def _free(self) -> int:
        """Return how many slots can take another turn."""
        return 0 if self._draining else max(0, self._slots - len(self._working))

    def _step(self, turn: str, name: str) -> None:
        if self._show_step:
            asyncio.get_running_loop().run_in_executor(None, self._show_step, turn, name)

    def drain(self, seconds: float) -> None:
        """Return the turns to the queue that have not ended in `seconds`."""
        self._draining = True
        held = self._leases.held()
        for turn in held:
            turn.drain()
        log.info("taking no more turns; %d at work", len(held))
        asyncio.get_running_loop().call_later(seconds, self.give_back)

    def give_back(self, times: int = 0) -> None:
        """Return all turns to the queue, until the process ends."""
        # Repeated: a claim may be under way, and a chain may swallow a cancellation, as redis-py does.
        self._leases.drop_all("shutdown")
        if times >= _CANCEL_AFTER:
            # Redis takes nothing back: others will find that our leases have run out.
            for task in list(self._working):
                task.cancel()
        asyncio.get_running_loop().call_later(_REPEAT_SECONDS, self.give_back, times + 1)


def requeue(settings: Settings, claims: list[Claim]) -> None:
    """Return turns to the queue over a connection of its own; for a thread beside a loop that hangs."""
    store = TurnStore(settings)
    with suppress(QueueUnreachable):
        for claim in claims:
            store.requeue(claim, forgive=True)
