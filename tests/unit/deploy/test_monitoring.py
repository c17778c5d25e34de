"""The board and the alert rules: every query asks for metrics, labels and values that there are."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # comes without types
from prometheus_client.parser import text_string_to_metric_families

from tests.support.processes import ROOT
from turnstile.producers.cli.commands import main
from turnstile.producers.metrics.exposition import exposition
from turnstile.producers.metrics.snapshot import Snapshot
from turnstile.turns.states import State
from turnstile.turns.store.upkeep import Measured

BOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana/turnstile.json").read_text())
SCALING: dict[str, Any] = yaml.safe_load((ROOT / "deploy/kubernetes/keda/scaled-object.yaml").read_text())
RULES: list[dict[str, Any]] = yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text())["groups"][0]["rules"]
_COUNTERS = {
    **{f'{state}{{queue="chat",chain="default",code="x",le="16"}}': 1 for state in State if state.ended},
    'run_ms{queue="chat",chain="default"}': 1,
    'accepted{queue="chat"}': 1,
    'claimed{queue="chat",le="16"}': 1,
    'ready_ms{queue="chat"}': 1,
    'streamed{queue="chat",le="16"}': 1,
    'first_text_ms{queue="chat"}': 1,
    'requeued{code="rate_limited"}': 1,
    'recovered{cause="worker_died"}': 1,
    'recovered{cause="lease_expired"}': 1,
    "redispatched": 1,
    'fallbacks{reason="unreachable"}': 1,
    'tokens_in{model="m"}': 1,
    'tokens_out{model="m"}': 1,
    "webhooks_delivered": 1,
    "webhooks_given_up": 1,
    "webhooks_too_many": 1,
    'cost{model="m"}': 2_500_000,
    'steps{chain="agent",le="4"}': 1,
    'steps_made{chain="agent"}': 3,
}
_VARIABLES = {"$__rate_interval": "5m", "$queue": ".*"}
_WORDS = {"sum", "rate", "increase", "by", "histogram_quantile", "absent", "and", "le"}


def _metrics() -> dict[str, dict[str, set[str]]]:
    """Return each sample's name, with its labels and their values."""
    measured = Measured(_COUNTERS, 3, 1, 1, 0, 0, 0, 0, 0.5, {"chat": 1})
    text = exposition(Snapshot(measured, {}, {"used_memory": "1", "maxmemory": "0"}, 0.001, {"m": (2, 30.0)})).decode()
    found: dict[str, dict[str, set[str]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


METRICS = _metrics()


def _queries() -> Iterator[tuple[str, str, str]]:
    """Yield each query's place, its text, and its legend."""
    for rule in RULES:
        yield rule["alert"], rule["expr"], ""
    for trigger in SCALING["spec"]["triggers"]:
        yield "the number of workers", trigger["metadata"]["query"], ""
    for panel in BOARD["panels"]:
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"], target["legendFormat"]


def _faults(query: str, legend: str) -> Iterator[str]:
    for variable, value in _VARIABLES.items():
        query = query.replace(variable, value)
    known: set[str] = set()
    for name, matchers in re.findall(r"(turnstile_\w+)(?:\{([^}]*)\})?", query):
        labels = METRICS.get(name)
        if labels is None:
            yield f"no metric {name}"
            continue
        known |= labels.keys()
        for label, operator, value in re.findall(r'(\w+)\s*(=~|=)\s*"([^"]*)"', matchers):
            if label not in labels:
                yield f"{name} has no label {label}"
            elif not any(re.fullmatch(value, one) if operator == "=~" else value == one for one in labels[label]):
                yield f"{name} has no {label} {value}"
    grouped = {label for group in re.findall(r"by \(([^)]*)\)", query) for label in re.split(r",\s*", group)}
    for label in (grouped | set(re.findall(r"\{\{(\w+)\}\}", legend))) - known:
        yield f"no metric here has the label {label}"
    shown = set(re.findall(r"\{\{(\w+)\}\}", legend))
    if "sum" in query and shown - grouped:
        yield f"the sum leaves {shown - grouped} out, which its legend names"
    rest = re.sub(r'turnstile_\w+(\{[^}]*\})?|by \([^)]*\)|\[[^\]]*\]|"[^"]*"', "", query)
    if strange := set(re.findall(r"[a-z_]+", rest)) - _WORDS:
        yield f"unknown words {strange}"


@pytest.mark.parametrize(("query", "legend"), [pytest.param(q, legend, id=place) for place, q, legend in _queries()])
def test_a_query_asks_for_what_there_is(query: str, legend: str) -> None:
    assert list(_faults(query, legend)) == []


@pytest.mark.parametrize(
    "query",
    [
        "turnstile_turns_ended",
        'turnstile_turns_ended_total{sate="failed"}',
        'turnstile_turns_ended_total{state="dead"}',
        "sum by (tenant) (turnstile_turns_open)",
        "sam(turnstile_turns_open)",
    ],
)
def test_a_planted_error_is_noticed(query: str) -> None:
    assert list(_faults(query, ""))


def test_promtool_is_told_when_each_rule_raises_its_alert_and_when_it_does_not() -> None:
    cases = yaml.safe_load((ROOT / "deploy/prometheus/rules.test.yml").read_text())["tests"]
    expected = [(bool(alert.get("exp_alerts")), alert["alertname"]) for case in cases for alert in case["alert_rule_test"]]
    assert sorted(expected) == sorted((raised, rule["alert"]) for rule in RULES for raised in (False, True))


def test_rules_name_commands_that_there_are() -> None:
    named = {name for rule in RULES for name in re.findall(r"`turnstile (\w+)", rule["annotations"]["action"])}
    assert named
    assert named <= set(main.commands)


def test_every_metric_is_on_the_board_or_in_a_rule() -> None:
    asked = " ".join(query for _, query, _ in _queries())
    left_out = {
        "turnstile_build_info",
        "turnstile_turns_failed",
        "turnstile_turns_retried_total",
        "turnstile_turns_refused_total",
    }
    left_out |= {"turnstile_holds_expired_total", "turnstile_records_broken_total"}
    shown = {name for name in METRICS if name in asked or name.endswith(("_count", "_sum", "_created"))}
    assert set(METRICS) - shown == left_out


def test_cost_and_steps_are_in_their_own_units() -> None:
    measured = Measured(_COUNTERS, 3, 1, 1, 0, 0, 0, 0, 0.5, {"chat": 1})
    text = exposition(Snapshot(measured, {}, {}, 0.001, {"m": (2, 30.0)})).decode()
    for line in (
        'turnstile_cost_total{model="m"} 2.5',
        'turnstile_model_turns_waiting{model="m"} 2.0',
        'turnstile_model_wait_oldest_seconds{model="m"} 30.0',
        'turnstile_steps_bucket{chain="agent",le="2.0"} 0.0',
        'turnstile_steps_bucket{chain="agent",le="4.0"} 1.0',
        'turnstile_steps_sum{chain="agent"} 3.0',
        'turnstile_run_seconds_bucket{chain="default",le="0.016",queue="chat"} 4.0',
    ):
        assert line in text


def test_every_rule_says_what_to_do() -> None:
    for rule in RULES:
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"].keys() == {"summary", "action"}
    assert len({rule["alert"] for rule in RULES}) == len(RULES)


def test_panels_have_a_place_of_their_own() -> None:
    places = [
        (x, y)
        for panel in BOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(places) == len(set(places))
    assert all(x < 24 for x, _ in places)
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(ids) == len(set(ids))
