"""The budgets of models as one worker process knows them; the numbers themselves are in Redis."""

import asyncio
import logging
from collections.abc import Iterable
from time import monotonic

from turnstile.turns.errors import QueueUnreachable
from turnstile.turns.model_names import model_of
from turnstile.turns.store.budgets import CallEnd, CallLimits, Limits, ModelCall, Slot
from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.workers.attempt.insist import insist
from turnstile.workers.budgets.answer_sizes import AnswerSizes

log = logging.getLogger(__name__)

_KNOWN_SECONDS = 10.0


class SharedBudgets:
    """The limits that the settings give, the models that others have found limited, and calls on their way to Redis."""

    def __init__(self, store: AsyncTurnStore) -> None:
        self._store = store
        self._limits = Limits(store.settings)
        self._limited: dict[str, float] = {}
        self._settling: set[asyncio.Task[float]] = set()
        self._answers = AnswerSizes()

    def hear(self, models: Iterable[str]) -> None:
        """Note the models that have a budget in Redis now, or are paused."""
        now = monotonic()
        if self._limited:
            self._limited = {model: until for model, until in self._limited.items() if until > now}
        for model in models:
            self._limited[model] = now + _KNOWN_SECONDS

    def limits(self, model: str) -> CallLimits:
        """Return the limits that the settings give a model."""
        return self._limits.of(model)

    def counts(self, name: str, limits: CallLimits) -> bool:
        """Return whether calls of a model are to be reserved; any other costs nothing."""
        return bool(limits) or self._limited.get(name, 0.0) > monotonic()

    def guess(self, model: str, session: str, prompt: int, most: int | None) -> int:
        """Return the tokens that a call may take: those of its prompt, and an answer like the tenant's others of the model."""
        return prompt + min(most or 10**6, self._answers.guess(model, session))

    async def reserve(self, call: ModelCall, limits: CallLimits, *, falls_back: bool = False) -> Slot:
        """Reserve a call; an outage of Redis is waited out. `falls_back`: another model may answer."""
        return await insist(lambda: self._store.reserve_call(call, limits, falls_back=falls_back))

    def settle(self, call: ModelCall, end: CallEnd, output: int = 0) -> None:
        """Settle a call, soon; `output` tokens were in its answer."""
        if output:
            self._answers.learn(call.model, call.claim.session, output)
        task = asyncio.create_task(self._settle(call, end))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def pause(self, call: ModelCall, end: CallEnd) -> float:
        """Settle a call to which the server has answered that it wants patience: from then on, everybody knows for how long."""
        self.hear([call.model])
        return await self._settle(call, end)

    async def _settle(self, call: ModelCall, end: CallEnd) -> float:
        try:
            paused = await self._store.settle_call(call, end)
        except QueueUnreachable as error:
            log.debug("a call of a model was not settled: %s", type(error).__name__)
            return end.pause
        if end.how == "limited":
            log.info("model %s: asks for patience; paused for %.1f s", model_of(call.model), paused)
        return paused
