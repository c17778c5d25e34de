"""The budgets of models, out of which requests that are no turns are taken, as calls of turns are."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

from turnstile.producers.gateway.edge.api_errors import ApiError, retry_after
from turnstile.producers.gateway.edge.client_presence import without_client
from turnstile.turns.errors import QueueUnreachable
from turnstile.turns.model_names import budget_name
from turnstile.turns.store.budgets import CallEnd, CallLimits, Limits, ModelCall, Passing
from turnstile.turns.store.turns import AsyncTurnStore

log = logging.getLogger(__name__)

LONGEST_WAIT = 5.0
"""Seconds for which a request waits for a place; then its client is told when to ask again."""
_POLL_SECONDS = 0.25
_KNOWN_SECONDS = 60.0


class Place:
    """A place in a model's budget, and the end of the request that has it: a failure unless the server answers."""

    def __init__(self) -> None:
        self.end = CallEnd("failed")


class RequestBudgets:
    """The places of one gateway's requests. Without a budget, and while nothing is paused, they cost Redis nothing."""

    def __init__(self, store: AsyncTurnStore) -> None:
        self._store, self._limits = store, Limits(store.settings)
        self._paused: dict[str, float] = {}
        self._settling: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def place(self, server: str, model: str, tokens: int, tenant: str, until: float) -> AsyncIterator[Place]:
        """Have a place for a request while it is made, waiting for one `until` then at most.

        Raises:
            ApiError: there is none by then.
        """
        call = ModelCall(Passing(secrets.token_hex(8), f"{tenant}/"), 1, budget_name(server, model), tokens)
        limits, place = self._limits.of(model), Place()
        counted = bool(limits) or self._paused.get(call.model, 0.0) > monotonic()
        try:
            if counted:
                await self._stand(call, limits, until)
            yield place
        finally:
            if counted or place.end.how == "limited":
                self._settle(call, place.end)

    async def _stand(self, call: ModelCall, limits: CallLimits, until: float) -> None:
        while True:
            left = max(0.0, until - monotonic())
            slot = await self._store.reserve_call(call, limits, ahead=left)
            if slot.granted:
                await asyncio.sleep(slot.wait or 0.0)
                return
            pause = slot.wait or _POLL_SECONDS
            if pause > left:
                message = "The model's budget has no place for this request now; ask again later."
                raise ApiError(429, message, None, "rate_limit_exceeded", retry_after(pause))
            await asyncio.sleep(pause)

    def _settle(self, call: ModelCall, end: CallEnd) -> None:
        """Settle a request, soon, also when its client has left."""
        with without_client():
            task = asyncio.create_task(self._settled(call, end))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def _settled(self, call: ModelCall, end: CallEnd) -> None:
        if end.how == "limited":
            now = monotonic()
            self._paused = {model: known for model, known in self._paused.items() if known > now}
            self._paused[call.model] = now + end.pause + _KNOWN_SECONDS
        try:
            await self._store.settle_call(call, end)
        except QueueUnreachable as error:
            log.debug("a request to the model's server was not settled: %s", type(error).__name__)

    async def close(self) -> None:
        """Wait until every request is settled."""
        await asyncio.gather(*self._settling, return_exceptions=True)
