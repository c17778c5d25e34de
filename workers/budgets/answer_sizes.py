"""Estimates of how long an answer will be, learnt by a worker process from those that it had."""

from collections import OrderedDict

from turnstile.turns.ids import tenant_of

_FIRST_GUESS = 256
_WEIGHT = 0.1
_MOST_KNOWN = 4096


class AnswerSizes:
    """Estimates of an answer's tokens: one for each model and tenant, so that nobody's long answers count for others.

    Of many, those that were not learnt from for longest are forgotten, and begin anew at the common first guess.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], float] = OrderedDict()

    def guess(self, model: str, session: str) -> int:
        """Return the tokens that an answer in a session may have."""
        return round(self._known.get((model, tenant_of(session)), _FIRST_GUESS))

    def learn(self, model: str, session: str, tokens: int) -> None:
        """Learn from an answer in a session that it had so many tokens."""
        key = model, tenant_of(session)
        known = self._known.pop(key, float(_FIRST_GUESS))
        self._known[key] = known + _WEIGHT * (tokens - known)
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)
