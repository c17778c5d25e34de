"""Models that were away a moment ago, as this process has found them: where another can answer, they are not asked first."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic


@dataclass(slots=True)
class _Outage:
    reason: str
    pause: float
    since: float
    until: float


class Outages:
    """The outages of models. Each is looked at by one call now and then, less often the longer it lasts."""

    def __init__(self, shortest: float, longest: float) -> None:
        self._pauses = shortest, longest
        self._found: dict[str, _Outage] = {}

    def last(self, models: Sequence[str]) -> list[str]:
        """Return the models with those at the end that are away; one whose pause is over keeps its place for this call."""
        away = {model for model in models if self._is_away(model)}
        return [*(model for model in models if model not in away), *(model for model in models if model in away)]

    def _is_away(self, model: str) -> bool:
        outage, now = self._found.get(model), monotonic()
        if outage and outage.until <= now:
            outage.until = now + outage.pause
            return False
        return outage is not None

    def begin(self, model: str, reason: str) -> None:
        """Note that a model is away, or still is."""
        shortest, longest = self._pauses
        outage, now = self._found.get(model), monotonic()
        if outage is None:
            self._found[model] = _Outage(reason, shortest, now, now + shortest)
        elif now >= outage.since + outage.pause:
            # Others that failed at the same time make it no longer.
            outage.pause = min(2 * outage.pause, longest)
            outage.since, outage.until = now, now + outage.pause

    def end(self, model: str) -> None:
        """Note that a model has answered."""
        self._found.pop(model, None)

    def reason(self, model: str) -> str:
        """Return why a model is passed over; empty where it is not."""
        return self._found[model].reason if model in self._found else ""
