"""The scripts' counters as Prometheus' counters and histograms."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from turnstile.turns.counters import split
from turnstile.turns.prices import MILLION
from turnstile.turns.states import State

Counters = Mapping[str, int]

_MS = range(4, 21)
"""Exponents of the upper bounds of buckets, powers of two: `bucket.lua` chooses among them."""


@dataclass(frozen=True, slots=True)
class Counter:
    """A metric that is the sum of some families of counters; `fixed` gives each family's labels, `unit` what counts as one."""

    name: str
    about: str
    labels: tuple[str, ...]
    fixed: Mapping[str, Mapping[str, str]]
    unit: int = 1

    @property
    def all_families(self) -> set[str]:
        """The families of counters that it is made of."""
        return set(self.fixed)

    def read(self, counters: Counters) -> Metric:
        """Return the metric with its values; one without labels is 0 from the first."""
        found: dict[tuple[str, ...], int] = {} if self.labels else {(): 0}
        for name, count in counters.items():
            family, labels = split(name)
            if family in self.fixed:
                values = {**labels, **self.fixed[family]}
                key = tuple(values.get(label, "") for label in self.labels)
                found[key] = found.get(key, 0) + count
        metric = CounterMetricFamily(self.name, self.about, labels=self.labels)
        for key, count in sorted(found.items()):
            metric.add_metric(key, max(0, count) / self.unit)
        return metric


@dataclass(frozen=True, slots=True)
class Histogram:
    """A histogram: `families` count by bucket (`le`), and `total` adds up. Milliseconds become seconds by `unit`."""

    name: str
    about: str
    labels: tuple[str, ...]
    families: Sequence[str]
    total: str
    exponents: range = _MS
    unit: int = 1000

    @property
    def all_families(self) -> set[str]:
        """The families of counters that it is made of."""
        return {*self.families, self.total}

    def read(self, counters: Counters) -> Metric:
        """Return the metric with its values."""
        buckets: dict[tuple[str, ...], dict[float, int]] = defaultdict(lambda: defaultdict(int))
        sums: dict[tuple[str, ...], int] = defaultdict(int)
        for name, count in counters.items():
            family, labels = split(name)
            key = tuple(labels.get(label, "") for label in self.labels)
            if family in self.families and "le" in labels:
                buckets[key][float(labels["le"])] += count
            elif family == self.total:
                sums[key] += count
        metric = HistogramMetricFamily(self.name, self.about, labels=self.labels)
        for key, found in sorted(buckets.items()):
            metric.add_metric(key, list(self._cumulative(found)), sums[key] / self.unit)
        return metric

    def _cumulative(self, found: Mapping[float, int]) -> Iterator[tuple[str, float]]:
        total = 0
        for bound in (*(2**exponent for exponent in self.exponents), math.inf):
            total += found.get(bound, 0)
            yield ("+Inf" if bound == math.inf else repr(bound / self.unit)), total


def _same(*families: str) -> dict[str, dict[str, str]]:
    return {family: {} for family in families}


_ENDS = tuple(state.value for state in State if state.ended)

COUNTED: tuple[Counter | Histogram, ...] = (
    Counter("turnstile_turns_accepted", "Turns accepted.", ("queue",), _same("accepted")),
    Counter(
        "turnstile_turns_ended",
        "Turns ended. Chain and code are empty where there is none: no worker ended the turn, it did not fail.",
        ("state", "queue", "chain", "code"),
        {state: {"state": state} for state in _ENDS},
    ),
    Counter("turnstile_turns_retried", "Failed turns that an operator had retried.", (), _same("revived")),
    Counter("turnstile_turns_refused", "Messages of plain Celery apps that are no turn.", (), _same("refused")),
    Counter("turnstile_attempts", "Attempts begun.", ("queue",), _same("claimed")),
    Counter("turnstile_attempts_returned", "Attempts that ended with another to come.", ("code",), _same("requeued")),
    Counter(
        "turnstile_recoveries",
        "Turns set going again, because a dispatch was lost, a worker died, or a lease ran out.",
        ("cause",),
        {"recovered": {}, "redispatched": {"cause": "dispatch_lost"}},
    ),
    Counter("turnstile_commits_fenced", "Answers that came after their turn was in other hands.", (), _same("fenced")),
    Counter("turnstile_holds_expired", "Open calls that nobody answered in time.", (), _same("holds_expired")),
    Counter("turnstile_records_broken", "Looks at records that something else has overwritten.", (), _same("broken")),
    Counter(
        "turnstile_model_calls", "Calls of models, one for each attempt whose worker died.", (), _same("claimed", "more_calls")
    ),
    Counter(
        "turnstile_model_fallbacks",
        "Turns that another model answered than the first, by why.",
        ("reason",),
        _same("fallbacks"),
    ),
    Counter(
        "turnstile_tokens",
        "Tokens of answers, as the model's server counts them.",
        ("direction", "model"),
        {"tokens_in": {"direction": "input"}, "tokens_out": {"direction": "output"}},
    ),
    Counter(
        "turnstile_cost",
        "Cost of the tokens of turns by TURNSTILE_PRICES, in its unit.",
        ("model",),
        _same("cost"),
        MILLION,
    ),
    Counter(
        "turnstile_webhooks",
        "Webhooks, by what became of them.",
        ("outcome",),
        {f"webhooks_{outcome}": {"outcome": outcome} for outcome in ("delivered", "given_up", "too_many")},
    ),
    Counter("turnstile_schedule_ticks", "Ticks of schedules, by what became of them.", ("outcome",), _same("ticks")),
    Histogram(
        "turnstile_ready_seconds",
        "Time that a turn could run until a worker took it, for each attempt.",
        ("queue",),
        ("claimed",),
        "ready_ms",
    ),
    Histogram(
        "turnstile_first_text_seconds",
        "Time from acceptance to the first text of a streamed answer.",
        ("queue",),
        ("streamed",),
        "first_text_ms",
    ),
    Histogram("turnstile_run_seconds", "Time from a turn's first start to its end.", ("queue", "chain"), _ENDS, "run_ms"),
    Histogram("turnstile_steps", "Steps that graphs took for a turn.", ("chain",), ("steps",), "steps_made", range(21), unit=1),
)
"""All metrics that the scripts count."""
