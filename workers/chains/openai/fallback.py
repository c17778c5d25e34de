"""Models that answer in each other's place: which is asked next, and what is to be done when none has answered."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import TypeVar

from turnstile.turns.model_failures import OUT_OF_QUOTA, TIMEOUT, TOO_LONG, UNREACHABLE
from turnstile.turns.settings import Settings
from turnstile.workers.budgets.gate import Gate, OverBudget
from turnstile.workers.chains.model_errors import is_unconnected, model_failure
from turnstile.workers.chains.openai.outages import Call, Outages, asker_of

T = TypeVar("T")

_UNREACHABLE, _TOO_LONG, _OVER_BUDGET, _OUT_OF_QUOTA = "unreachable", "too_long", "over_budget", "out_of_quota"


class Fallback:
    """The models of the settings, in their order: a call for one of them is answered by it, or by one behind it."""

    def __init__(self, settings: Settings, server_of: Callable[[str], str]) -> None:
        """`server_of` names a model's server."""
        self._models = settings.models
        self._seconds = settings.fallback_seconds
        self._server_of = server_of
        self._outages = Outages(settings.retry_base_seconds, settings.retry_max_seconds)

    def behind(self, model: str) -> Sequence[str]:
        """Return the models that answer in the place of one."""
        return self._models[self._models.index(model) + 1 :] if model in self._models else ()

    async def answer(self, model: str, ask: Callable[[str], Awaitable[T]], gate: Gate | None) -> T:
        """Return the answer of a model, or of the first behind it that gives one.

        Raises:
            Exception: none gave one. That the prompt is too long for one comes first, since a shorter one may go well at once;
                the error against which a wait helps is the gate's `later` then.
        """
        asker = asker_of(gate.session) if gate else ""
        models = self._outages.last([model, *self.behind(model)], asker)
        passed, tries, waits = self._outages.reason(model, asker), _Tries(), False
        for tried in models:
            call = Call(asker, monotonic())
            try:
                answer = await ask(tried)
            except Exception as error:
                if not (reason := _reason(error)):
                    raise
                tries.note(tried, reason, error)
                if reason in (_UNREACHABLE, _OUT_OF_QUOTA) and tried in self._models:
                    self._outages.begin(tried, reason, call, unconnected=is_unconnected(error))
                if isinstance(error, OverBudget) and (waits := not error.lasts(self._seconds)):
                    break
            else:
                if tried in self._models:
                    self._outages.end(tried, call)
                if gate and tried != model:
                    # The outage of a model that was not tried may have ended meanwhile.
                    gate.switch(tried, tries.reasons.get(model, passed))
                return answer
        if gate:
            self._let_others_answer(models, tries, gate, asker)
        raise tries.result(gate, waits=waits)

    def _let_others_answer(self, models: Sequence[str], tries: "_Tries", gate: Gate, asker: str) -> None:
        """Let a wait for a budget end with a place in another, too, unless its model would not answer now."""
        over = tries.errors.get(_OVER_BUDGET)
        if isinstance(over, OverBudget):
            able = [model for model in models if tries.reasons.get(model, _OVER_BUDGET) == _OVER_BUDGET]
            budgets = [gate.budget(self._server_of(model), model) for model in able if not self._outages.reason(model, asker)]
            over.others = [budget for budget in budgets if budget.name != over.model]
            over.patience = 0.0 if over.lasts(self._seconds) else self._seconds


@dataclass(slots=True)
class _Tries:
    """The models that one call has asked in vain: why, and with which error."""

    reasons: dict[str, str] = field(default_factory=dict)
    errors: dict[str, Exception] = field(default_factory=dict)

    def note(self, model: str, reason: str, error: Exception) -> None:
        self.reasons[model] = reason
        self.errors.setdefault(reason, error)

    def result(self, gate: Gate | None, *, waits: bool) -> Exception:
        """Return the error to go on with. A wait for a budget is shorter, as a rule, than one for a server.

        `waits`: a wait is short enough for the whole prompt.
        """
        later = self.errors.get(_OVER_BUDGET) or self.errors.get(_UNREACHABLE)
        too_long = None if waits else self.errors.get(_TOO_LONG)
        if gate:
            gate.later = later if too_long else None
        return too_long or later or self.errors[_OUT_OF_QUOTA]


def _reason(error: Exception) -> str:
    """Return why another model is asked after an error; empty where none is."""
    if isinstance(error, OverBudget):
        return _OVER_BUDGET
    failure = model_failure(error)
    if failure is None:
        return ""
    if failure.code == TOO_LONG.code:
        return _TOO_LONG
    if failure.away or (failure.code in (TIMEOUT.code, UNREACHABLE.code) and failure.retryable):
        return _UNREACHABLE
    return _OUT_OF_QUOTA if failure.code == OUT_OF_QUOTA.code and not failure.retryable else ""
