"""The gate before the calls of models: they pass when there is a place in the budget, or the turn waits for one."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, NoReturn

from turnstile.memory.step_errors import StepError
from turnstile.turns.model_limits import answered, failed
from turnstile.turns.model_names import budget_name
from turnstile.turns.store.budgets import ModelCall, OtherBudget
from turnstile.turns.store.working import Spending
from turnstile.turns.token_estimate import text_tokens
from turnstile.turns.turn import Claim
from turnstile.workers.budgets.shared import SharedBudgets


class OverBudget(StepError):
    """There is no place for a call in the budget of its model, now and in the next moment. `wait` is a guess, in seconds.

    `passed`: the turn has waited long enough, and is to go on with another model. `others` are budgets of models that may
    answer once it has waited for `patience` seconds.
    """

    code = "rate_limited"

    def __init__(self, model: str, tokens: int, wait: float | None, *, passed: bool = False) -> None:
        super().__init__("There is no place in the model's budget now; the turn waits for one.")
        self.model, self.tokens, self.wait, self.passed = model, tokens, wait, passed
        self.others: Sequence[OtherBudget] = ()
        self.patience = 0.0

    def lasts(self, seconds: float) -> bool:
        """Return whether the wait is longer than so many seconds, as far as it is known."""
        return self.passed or (self.wait is not None and self.wait >= seconds)


class Gate:
    """The gate of one attempt."""

    def __init__(self, claim: Claim, budgets: SharedBudgets, on_switch: Callable[[str, str], object] | None = None) -> None:
        """`on_switch` hears that another model answers than the one that was asked, and why."""
        self.limited: tuple[str, int] | None = None
        """The model whose server asked this attempt for patience, and the tokens that it wanted."""
        self.halt: Callable[[OverBudget], object] | None = None
        """Ends the attempt of a graph, in which an error alone is caught by retries and fallbacks."""
        self.later: Exception | None = None
        """The error of another model, against which a wait helps, where the latest one says that the prompt is too long."""
        self.spent = Spending()
        """The tokens of the calls that have ended, or were left."""
        self._on_switch = on_switch
        self.session = claim.session
        self._claim = claim
        self._budgets = budgets
        self._begun = 0
        self._answers = ""

    async def enter(self, server: str, model: str, prompt: int, most: int | None, *, falls_back: bool = False) -> "BegunCall":
        """Begin a call of a model, with so many tokens of a prompt: at once, or in the next moment.

        `falls_back`: another model may answer.

        Raises:
            OverBudget: there is no place in the model's budget.
        """
        self._begun += 1
        name, limits = budget_name(server, model), self._budgets.limits(model)
        counted = self._budgets.counts(name, limits)
        tokens = self._budgets.guess(name, self._claim.session, prompt, most) if counted else 0
        call = ModelCall(self._claim, self._begun, name, tokens)
        begun = BegunCall(self, self._budgets, call, counted, Spending(model, prompt))
        if counted:
            slot = await self._budgets.reserve(call, limits, falls_back=falls_back)
            if not slot.granted:
                raise OverBudget(name, call.tokens, slot.wait, passed=slot.passed)
            if slot.wait:
                await begun.stand(slot.wait)
        return begun

    def refuse(self, error: OverBudget) -> NoReturn:
        """End the attempt, for want of a place in a budget."""
        if self.halt is None:
            raise error
        self.halt(error)
        # The run is being cancelled: what catches errors must not take this for one.
        raise asyncio.CancelledError

    def budget(self, server: str, model: str) -> OtherBudget:
        """Return a model's budget."""
        return OtherBudget(budget_name(server, model), self._budgets.limits(model))

    def spend(self, call: Spending) -> None:
        """Note what a call has spent."""
        before = self.spent
        self.spent = Spending(call.model, before.tokens_in + call.tokens_in, before.tokens_out + call.tokens_out)

    def switch(self, model: str, reason: str) -> None:
        """Note that a model answers in the place of another, unless the same one did before."""
        if self._on_switch and model != self._answers:
            self._on_switch(model, reason)
        self._answers = model


class BegunCall:
    """A call of a model that is under way, until it is `ended` or has `failed`."""

    def __init__(self, gate: Gate, budgets: SharedBudgets, call: ModelCall, counted: bool, spent: Spending) -> None:
        """`spent`: the model, and an estimate of the tokens of the request."""
        self._gate, self._budgets, self._call = gate, budgets, call
        self._spent, self._told, self._size, self._noted = spent, False, 0, False
        self._open = counted
        self._headers: Mapping[str, str] = {}
        self._tokens, self._output = call.tokens, 0

    async def stand(self, seconds: float) -> None:
        """Wait for the call's moment."""
        try:
            await asyncio.sleep(seconds)
        except BaseException as error:
            self._settle(error)
            raise

    def heard(self, headers: Mapping[str, str]) -> None:
        """Note the headers of the answer."""
        self._headers = headers

    def said(self, deltas: Iterable[Mapping[str, Any]]) -> None:
        """Note what the answer goes on with."""
        for delta in deltas:
            told = (str(value) for name, value in delta.items() if value and name != "role")
            self._size += sum(len(text.encode(errors="replace")) for text in told)

    def used(self, usage: object) -> None:
        """Note what the server says of the tokens that it used."""
        if isinstance(usage, dict):
            total, self._output = _count(usage, "total_tokens"), _count(usage, "completion_tokens")
            self._tokens = total or self._tokens
            if total:
                self._told = True
                self._spent = Spending(self._spent.model, max(0, total - self._output), self._output)

    def ended(self) -> None:
        """Settle the call: the answer is there, or nobody wants it any more."""
        self._spend()
        if self._open:
            self._open = False
            self._budgets.settle(self._call, answered(self._headers, self._tokens), self._output)

    async def failed(self, error: BaseException) -> OverBudget | None:
        """Settle the call; a model whose server asks for patience is paused before the attempt goes on, which is returned."""
        end = failed(error)
        if end.how != "limited":
            if isinstance(error, asyncio.CancelledError):  # the server works on an answer that nobody wants any more
                self._spend()
            self._settle(error)
            return None
        self._open = False
        self._gate.limited = (self._call.model, self._call.tokens)
        return OverBudget(self._call.model, self._call.tokens, await self._budgets.pause(self._call, end))

    def _spend(self) -> None:
        if not self._noted:
            self._noted = True
            said = self._spent.tokens_out if self._told else text_tokens(self._size)
            self._gate.spend(replace(self._spent, tokens_out=said))

    def _settle(self, error: BaseException) -> None:
        if self._open:
            self._open = False
            self._budgets.settle(self._call, failed(error))


def _count(usage: Mapping[str, Any], name: str) -> int:
    value = usage.get(name)
    return value if type(value) is int and 0 <= value < 10**9 else 0


current: ContextVar[Gate | None] = ContextVar("turnstile_gate", default=None)


@contextmanager
def through(gate: Gate | None) -> Iterator[None]:
    """Lead the calls of models in the block, and in the tasks that start in it, through a gate."""
    token = current.set(gate)
    try:
        yield
    finally:
        current.reset(token)
