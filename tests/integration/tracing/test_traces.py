"""Traces of turns, as a collector gets them from real gateways and workers."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.chains.agents import entries
from tests.support.collector import Collector, Span
from tests.support.gateways import Gateway
from tests.support.processes import Worker
from tests.support.wait import PATIENCE_SECONDS, wait_until
from turnstile import ChatClient
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADERS = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=opaque"}
SECRET = "zebra"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture
def turns(redis_url: str) -> TurnStore:
    return TurnStore(Settings(redis_url=redis_url))


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "ledger"
    monkeypatch.setenv("LEDGER", str(path))
    return path


def _one(collector: Collector, name: str) -> Span:
    wait_until(lambda: collector.named(name), f"{name} is told")
    [span] = collector.named(name)
    return span


def _ask(gateway: Gateway, text: str, model: str = "gpt-4o-mini", **more: object) -> httpx.Response:
    with gateway.http() as http:
        answer = http.post("/v1/responses", json={"input": text, "model": model, **more}, headers=HEADERS)
        assert answer.status_code == 200, answer.text
        return answer


def test_one_trace_leads_from_a_request_over_the_queue_to_the_model(
    redis_url: str, tmp_path: Path, collector: Collector
) -> None:
    env = collector.environment
    with Worker(redis_url, tmp_path, 20, **env) as worker, Gateway(redis_url, tmp_path, **env) as gateway:
        turn = _ask(gateway, f"Tell me of a {SECRET}").json()["id"]
        model = _one(collector, "chat gpt-4o-mini")
        attempt = _one(collector, "answer chat")
        request, asked, wait = (_one(collector, name) for name in ("POST /v1/responses", "ask chat", "wait chat"))
    assert {span.trace for span in collector.spans if span.attributes.get("messaging.message.id") == turn} == {TRACE}
    assert (request.service, attempt.service) == ("turnstile-gateway", "turnstile-worker")
    assert (request.parent, asked.parent, wait.parent) == (PARENT, request.id, asked.id)
    assert (attempt.parent, model.parent, model.trace) == (asked.id, attempt.id, TRACE)
    assert wait.begun <= wait.ended <= attempt.begun <= model.begun <= model.ended <= attempt.ended
    assert request.attributes["http.response.status_code"] == 200
    assert attempt.attributes["turnstile.outcome"] == "completed"
    counted = [model.attributes[f"gen_ai.usage.{side}_tokens"] for side in ("input", "output")]
    assert all(count > 0 for count in counted), model
    assert model.attributes["gen_ai.provider.name"] == "openai"
    assert model.attributes["gen_ai.response.finish_reasons"] == ["stop"]
    assert not any(SECRET.encode() in body for body in collector.bodies)
    assert SECRET not in worker.text() + gateway.text()


def test_a_worker_that_takes_over_goes_on_in_the_same_trace(
    redis_url: str, tmp_path: Path, collector: Collector, turns: TurnStore, ledger: Path
) -> None:
    env = {**collector.environment, "TURNSTILE_CHAIN": "tests.chains.agents:agent"}
    first, second = Worker(redis_url, tmp_path, 20, **env), Worker(redis_url, tmp_path, 20, **env)
    with Gateway(redis_url, tmp_path, **collector.environment) as gateway:
        first.start()
        turn = _ask(gateway, "call pay 1; call slowly 2 | call pay 3", background=True).json()["id"]
        wait_until(lambda: any(entry.startswith("begun 2") for entry in entries()), "a tool has begun")
        wait_until(lambda: collector.named("execute_tool pay"), "the first tool is told")
        with second:
            first.kill()
            wait_until(lambda: sum(entry.startswith("begun 2") for entry in entries()) == 2, "another worker goes on")
            ledger.with_name("go").touch()
            attempt = _one(collector, "answer chat")
            wait_until(lambda: turns.status(turn).state is State.COMPLETED, "the turn ends")
    assert attempt.attributes["turnstile.attempt"] == 2
    tools, models = collector.named("execute_tool"), collector.named("chat")
    assert {"execute_tool pay", "execute_tool slowly"} == {span.name for span in tools}
    assert len(models) >= 3, models
    steps = {span.name for span in collector.named("step")}
    assert {"step model", "step tools"} <= steps, steps
    spans = [*tools, *models, *collector.named("step"), attempt]
    assert {span.trace for span in spans} == {TRACE}
    places = {span.id: span for span in collector.spans}
    assert {places[span.parent].name for span in tools if span.parent in places} <= {"step tools"}
    assert all(places[span.parent].name == "step model" for span in models if span.parent in places)


def test_attempts_at_a_turn_that_came_without_a_trace_share_one(
    redis_url: str, tmp_path: Path, collector: Collector, turns: TurnStore
) -> None:
    env = {**collector.environment, "TURNSTILE_RETRY_BASE_SECONDS": "0.01"}
    with Worker(redis_url, tmp_path, 20, **env):
        turns.submit("a", "acme/foo", "hello [[fail=500 times=1]]")
        wait_until(lambda: turns.status("a").ended, "the turn ends")
        wait_until(lambda: len(collector.named("answer chat")) == turns.status("a").attempts, "all attempts are told")
    attempts = collector.named("answer chat")
    assert len(attempts) >= 2, attempts
    assert {span.trace for span in attempts} == {collector.named("wait chat")[0].trace}
    assert attempts[0].attributes["turnstile.tenant"] == "acme"
    assert any(span.failed for span in collector.named("chat"))


def test_questions_that_are_answered_together_are_linked(redis_url: str, tmp_path: Path, collector: Collector) -> None:
    chat = ChatClient(redis_url)
    places = [f"00-{number * 32}-{PARENT}-01" for number in "123"]
    turns = [chat.ask("foo", f"I'm {n}", when_busy="merge", traceparent=place) for n, place in enumerate(places)]
    with Worker(redis_url, tmp_path, 20, **collector.environment):
        for turn in turns:
            turn.result(timeout=PATIENCE_SECONDS)
        attempt = _one(collector, "answer chat")
    assert {attempt.trace, *attempt.links} == {"1" * 32, "2" * 32, "3" * 32}


@pytest.mark.parametrize("listens", [True, False], ids=["silent", "gone"])
def test_a_collector_that_is_away_holds_nothing_up(redis_url: str, tmp_path: Path, turns: TurnStore, listens: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        if not listens:
            silent.close()
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_BSP_SCHEDULE_DELAY": "50"}
        with Worker(redis_url, tmp_path, 20, **env) as worker:
            for number in range(20):
                turns.submit(f"turn-{number}", f"session-{number}", "hello")
            ids = [f"turn-{number}" for number in range(20)]
            wait_until(lambda: all(turns.status(id).state is State.COMPLETED for id in ids), "all turns end")
            # A worker that takes longer than its shutdown allows ends with another code.
            assert worker.stop() == 0
    told = [line for line in worker.text().splitlines() if "span batch" in line]
    assert len(told) <= 3, told


def test_a_trace_is_passed_on_without_opentelemetry(redis_url: str, tmp_path: Path, turns: TurnStore) -> None:
    with Gateway(redis_url, tmp_path) as gateway:
        turn = _ask(gateway, "hello", background=True).json()["id"]
        assert turns.status(turn).options.traceparent == HEADERS["traceparent"]
        assert turns.status(turn).options.tracestate == HEADERS["tracestate"]
        for wrong in ("00-0-0-01", "x" * 10_000):
            with gateway.http() as http:
                body = {"input": "hello", "background": True}
                answer = http.post("/v1/responses", json=body, headers={"traceparent": wrong}).json()
            assert turns.status(answer["id"]).options.traceparent is None
    turns.submit("a", "foo", "hello", Options(traceparent=HEADERS["traceparent"]))
    assert turns.status("a").options.traceparent == HEADERS["traceparent"]
    again = turns.submit("a", "foo", "hello", Options(traceparent=f"00-{'1' * 32}-{PARENT}-01"))
    assert not again.fresh


def test_a_turn_without_a_trace_costs_nothing(turns: TurnStore) -> None:
    turns.submit("a", "foo", "hello")
    stored: Any = turns.client.hget(turns.keys.turn("a"), "options")
    assert json.loads(stored) == {}


@pytest.mark.parametrize(("variable", "value"), [("OTEL_TRACES_EXPORTER", "zipkin"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")])
def test_what_is_not_there_is_named_at_start(redis_url: str, tmp_path: Path, variable: str, value: str) -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", variable: value}
    for process in (Worker(redis_url, tmp_path, 20, **env), Gateway(redis_url, tmp_path, **env)):
        process.start(ready=False)
        assert process.process
        assert process.process.wait(120) == 2
        assert f"turnstile: {variable} is {value}" in process.text()
