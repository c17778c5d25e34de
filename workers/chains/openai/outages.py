"""Models that were away a moment ago, as this process has found them: where another can answer, they are not asked first."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

from turnstile.turns.ids import tenant_of

_ALL = ""
_MOST_OWN = 1_000
_TENANTS, _ASKERS = 2, 3


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a model: for whom, as `asker_of` says, and when it began."""

    asker: str
    began: float


def asker_of(session: str) -> str:
    """Return whose questions a session holds: its tenant's, with a slash, or its own where it has none."""
    tenant = tenant_of(session)
    return f"{tenant}/" if tenant else session


@dataclass(slots=True)
class _Outage:
    reason: str
    pause: float
    since: float
    until: float
    asked: float
    """When the latest call began that has failed."""


class Outages:
    """The outages of models. Each is looked at by one call now and then, less often the longer it lasts.

    A call may fail for its question alone, so an outage is its asker's first. It is everybody's when no connection can be made,
    or when calls of two tenants failed, or of three sessions without one, and none that began after them was answered.
    """

    def __init__(self, shortest: float, longest: float) -> None:
        self._pauses = shortest, longest
        self._found: dict[str, _Outage] = {}
        self._own: OrderedDict[tuple[str, str], _Outage] = OrderedDict()
        self._failed: dict[str, dict[str, float]] = {}
        self._answered: dict[str, float] = {}

    def last(self, models: Sequence[str], asker: str = _ALL) -> list[str]:
        """Return the models with those at the end that are away; one whose pause is over keeps its place for this call."""
        away = {model for model in models if self._is_away(model, asker)}
        return [*(model for model in models if model not in away), *(model for model in models if model in away)]

    def _is_away(self, model: str, asker: str) -> bool:
        outage, now = self._outage(model, asker), monotonic()
        if outage and outage.until <= now:
            outage.until = now + outage.pause
            return False
        return outage is not None

    def _outage(self, model: str, asker: str) -> _Outage | None:
        return self._found.get(model) or self._own.get((model, asker))

    def begin(self, model: str, reason: str, call: Call, *, unconnected: bool = False) -> None:
        """Note that a call of a model has failed. `unconnected`: before there was a connection, so not for its question."""
        found = self._found.get(model)
        if found is None and (unconnected or self._is_everybodys(model, call)):
            self._failed.pop(model, None)
            self._found[model] = self._begun(reason, call)
        elif found := found or self._own.get((model, call.asker)):
            self._prolong(found, call)
        else:
            self._own[model, call.asker] = self._begun(reason, call)
            if len(self._own) > _MOST_OWN:
                self._own.popitem(last=False)

    def _is_everybodys(self, model: str, call: Call) -> bool:
        if self._answered.get(model, call.began) > call.began:
            return False
        failed = self._failed.setdefault(model, {})
        failed[call.asker] = call.began
        return _ALL in failed or len({tenant_of(asker) for asker in failed}) >= _TENANTS or len(failed) >= _ASKERS

    def _begun(self, reason: str, call: Call) -> _Outage:
        shortest, now = self._pauses[0], monotonic()
        return _Outage(reason, shortest, now, now + shortest, call.began)

    def _prolong(self, outage: _Outage, call: Call) -> None:
        longest, now = self._pauses[1], monotonic()
        outage.asked = max(outage.asked, call.began)
        # Others that failed at the same time make it no longer.
        if now >= outage.since + outage.pause:
            outage.pause = min(2 * outage.pause, longest)
            outage.since, outage.until = now, now + outage.pause

    def end(self, model: str, call: Call) -> None:
        """Note that a model has answered a call. One that is older than an outage does not show that it is over."""
        self._answered[model] = max(call.began, self._answered.get(model, call.began))
        if failed := self._failed.get(model):
            self._failed[model] = {asker: began for asker, began in failed.items() if began > call.began}
        if (outage := self._found.get(model)) and outage.asked <= call.began:
            del self._found[model]
        if (outage := self._own.get((model, call.asker))) and outage.asked <= call.began:
            del self._own[model, call.asker]

    def reason(self, model: str, asker: str = _ALL) -> str:
        """Return why a model is passed over; empty where it is not."""
        outage = self._outage(model, asker)
        return outage.reason if outage else ""
