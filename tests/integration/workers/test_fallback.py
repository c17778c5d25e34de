"""Models that answer in each other's place, at two servers."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import redis

from tests.support.ports import lasting_port
from tests.support.processes import Worker, offline_model
from tests.support.wait import wait_until
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.turn import Record

WORDS = "word " * 20
BOTH = (True, False)


@pytest.fixture
def turns(redis_url: str) -> TurnStore:
    return TurnStore(Settings(redis_url=redis_url))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as open_things:
        yield open_things


Start = Callable[..., Worker]


@pytest.fixture
def start(stack: ExitStack, redis_url: str, tmp_path: Path) -> Start:
    """Start a worker of two models, each at a server of its own."""

    def started(first: str, second: str, **env: Any) -> Worker:
        settings: dict[str, Any] = {
            "OPENAI_BASE_URL": first,
            "TURNSTILE_MODEL": "a,b",
            "TURNSTILE_MODEL_SERVERS": json.dumps({"b": {"url": second, "key": "other"}}),
            "TURNSTILE_RETRY_BASE_SECONDS": "0.2",
            "TURNSTILE_RETRY_MAX_SECONDS": "1",
            "TURNSTILE_MAX_ATTEMPTS": "1",
        }
        return stack.enter_context(Worker(redis_url, tmp_path, **{**settings, **env}))

    return started


def nowhere() -> str:
    return f"http://127.0.0.1:{lasting_port()}/v1"


def ended(turns: TurnStore, id: str) -> Record:
    wait_until(lambda: turns.status(id).ended, f"{id} ends")
    return turns.status(id)


def asked(turns: TurnStore, id: str, question: str = "hello", session: str = "", **options: Any) -> Record:
    turns.submit(id, session or id, question, Options(**options))
    return ended(turns, id)


def told(record: Record) -> tuple[str, int, str | None, str | None]:
    return record.state.value, record.attempts, record.model, record.fallback


@pytest.mark.timeout(240)
def test_a_model_that_is_down_is_replaced(turns: TurnStore, stack: ExitStack, start: Start) -> None:
    start(nowhere(), stack.enter_context(offline_model("--model", "b")))
    for stream in BOTH:
        assert told(asked(turns, f"t{stream}", stream=stream)) == ("completed", 1, "b", "unreachable")
    events = turns.events("tTrue")
    assert [event.type for event in events] == ["started", "fallback", "text", "ended"]
    assert json.loads(events[1].data) == {"model": "b", "reason": "unreachable"}
    assert turns.stats()["fallbacks"] == 2


@pytest.mark.timeout(240)
@pytest.mark.parametrize("fault", [("--fail", "503"), ("--hang",), ("--refuse",), ("--fail", "insufficient_quota")])
def test_a_model_that_answers_with_a_fault_is_replaced(
    turns: TurnStore, stack: ExitStack, start: Start, fault: tuple[str, ...]
) -> None:
    first, second = (stack.enter_context(offline_model("--model", name, *more)) for name, more in (("a", fault), ("b", ())))
    start(first, second, TURNSTILE_MODEL_TIMEOUT="1")
    reason = "out_of_quota" if "insufficient_quota" in fault else "unreachable"
    for stream in BOTH:
        assert told(asked(turns, f"t{stream}", stream=stream)) == ("completed", 1, "b", reason)


@pytest.mark.timeout(240)
def test_the_first_model_is_asked_again_when_it_is_back(turns: TurnStore, stack: ExitStack, start: Start) -> None:
    port = lasting_port()
    start(f"http://127.0.0.1:{port}/v1", stack.enter_context(offline_model("--model", "b")))
    assert asked(turns, "before").model == "b"
    stack.enter_context(offline_model("--model", "a", "--port", str(port)))
    count = iter(range(1_000))
    wait_until(lambda: asked(turns, f"t{next(count)}").model == "a", "the first answers again")


@pytest.mark.timeout(240)
def test_a_model_with_more_room_comes_before_a_shorter_prompt(turns: TurnStore, stack: ExitStack, start: Start) -> None:
    first = stack.enter_context(offline_model("--model", "a", "--context", "120"))
    start(first, stack.enter_context(offline_model("--model", "b", "--context", "400")))
    records = [asked(turns, f"t{n}", f"{n} {WORDS}", "long", stream=n % 2 == 0) for n in range(16)]
    assert told(records[0]) == ("completed", 1, "a", None)
    assert told(records[5]) == ("completed", 1, "b", "too_long")
    assert records[5].left_out == 0
    assert records[15].state.value == "completed"
    assert records[15].left_out > 0
    whole = asked(turns, "whole", f"and {WORDS}", "long", truncation="disabled")
    assert (whole.code, whole.fallback) == ("context_length_exceeded", None)


@pytest.mark.timeout(240)
def test_a_budget_that_is_spent_for_long_leads_to_the_next(turns: TurnStore, stack: ExitStack, start: Start) -> None:
    first, second = (stack.enter_context(offline_model("--model", name)) for name in "ab")
    start(first, second, TURNSTILE_MODEL_BUDGETS='{"a": {"requests": 1}}', TURNSTILE_FALLBACK_SECONDS="20")
    assert told(asked(turns, "one")) == ("completed", 1, "a", None)
    for stream in BOTH:
        record = asked(turns, f"t{stream}", stream=stream)
        assert told(record) == ("completed", 1, "b", "over_budget")
        assert record.dispatches == 1


@pytest.mark.timeout(240)
def test_who_waits_for_a_place_takes_the_first_of_either_model(turns: TurnStore, stack: ExitStack, start: Start) -> None:
    first, second = (stack.enter_context(offline_model("--model", name, "--latency", "4")) for name in "ab")
    budgets = '{"*": {"concurrent": 1}}'
    start(first, second, TURNSTILE_MODEL_BUDGETS=budgets, TURNSTILE_FALLBACK_SECONDS="1")
    ids = [f"t{n}" for n in range(6)]
    for id in ids:
        turns.submit(id, id, "hello", Options(stream=True))
    records = [ended(turns, id) for id in ids]
    assert {record.state.value for record in records} == {"completed"}
    assert sorted({(record.model, record.fallback) for record in records}) == [("a", None), ("b", "over_budget")]


@pytest.mark.timeout(240)
def test_a_long_pause_leads_to_the_next(turns: TurnStore, stack: ExitStack, start: Start) -> None:
    first = stack.enter_context(offline_model("--model", "a", "--fail", "429", "--retry-after", "30"))
    second = stack.enter_context(offline_model("--model", "b"))
    start(first, second, TURNSTILE_RETRY_MAX_SECONDS="60", TURNSTILE_FALLBACK_SECONDS="10")
    for stream in BOTH:
        assert told(asked(turns, f"t{stream}", stream=stream)) == ("completed", 1, "b", "over_budget")


@pytest.mark.timeout(240)
def test_turns_wait_while_both_are_down(turns: TurnStore, stack: ExitStack, start: Start) -> None:
    port = lasting_port()
    start(nowhere(), f"http://127.0.0.1:{port}/v1")
    for stream in BOTH:
        turns.submit(f"t{stream}", f"s{stream}", "hello", Options(stream=stream))
    wait_until(lambda: turns.status("tTrue").attempts > 2 and turns.status("tFalse").attempts > 2, "both are tried again")
    stack.enter_context(offline_model("--model", "b", "--port", str(port)))
    for stream in BOTH:
        record = ended(turns, f"t{stream}")
        assert (record.state.value, record.model, record.fallback) == ("completed", "b", "unreachable")


@pytest.mark.timeout(240)
def test_a_model_by_name_is_replaced_by_those_behind_it(turns: TurnStore, stack: ExitStack, start: Start) -> None:
    start(nowhere(), stack.enter_context(offline_model("--model", "b")))
    assert told(asked(turns, "first", model="a")) == ("completed", 1, "b", "unreachable")
    assert told(asked(turns, "second", model="b")) == ("completed", 1, "b", None)
    turns.submit("another", "another", "hello", Options(model="c"))
    wait_until(lambda: turns.status("another").attempts > 2, "nothing replaces a model that is not in the list")
    turns.cancel("another")


@pytest.mark.timeout(240)
def test_an_agent_goes_on_with_the_next(turns: TurnStore, stack: ExitStack, start: Start) -> None:
    second = stack.enter_context(offline_model("--model", "b"))
    start(nowhere(), second, TURNSTILE_TOOLS="tests.chains.worker_tools:add")
    for stream in BOTH:
        assert told(asked(turns, f"t{stream}", stream=stream)) == ("completed", 1, "b", "unreachable")


@pytest.mark.timeout(240)
def test_a_named_chain_has_models_of_its_own(turns: TurnStore, stack: ExitStack, start: Start, client: redis.Redis) -> None:
    second = stack.enter_context(offline_model("--model", "b"))
    named = {
        "plain": {"model": "c,b"},
        "alone": {"model": "c"},
        "agent": {"chain": "tests.chains.agents:of_models", "model": "c,b"},
    }
    budgets = json.dumps({"b": {"requests": 6_000}})
    start(nowhere(), second, TURNSTILE_MODEL="a", TURNSTILE_CHAINS=json.dumps(named), TURNSTILE_MODEL_BUDGETS=budgets)
    for stream in BOTH:
        for chain in ("plain", "agent"):
            assert told(asked(turns, f"{chain}{stream}", chain=chain, stream=stream)) == ("completed", 1, "b", "unreachable")
    assert any(str(name).startswith("b@") for name in client.zrange(turns.keys.budgets, 0, -1))
    turns.submit("default", "default", "hello")
    turns.submit("alone", "alone", "hello", Options(chain="alone"))
    for id in ("default", "alone"):
        wait_until(lambda: turns.status(id).attempts > 2, "nothing answers in the place of its one model")  # noqa: B023 - read at once
        turns.cancel(id)


@pytest.mark.timeout(240)
def test_a_stream_that_breaks_is_an_attempt_of_its_own(turns: TurnStore, stack: ExitStack, start: Start) -> None:
    first = stack.enter_context(offline_model("--model", "a"))
    start(first, stack.enter_context(offline_model("--model", "b")), TURNSTILE_MAX_ATTEMPTS="3")
    record = asked(turns, "t", "one two three four five six [[drop times=1]]", stream=True)
    assert told(record) == ("completed", 2, "a", None)


class Hard(BaseHTTPRequestHandler):
    """Model a, before which a proxy gives up on hard questions."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        hard = "hard" in body["messages"][-1]["content"]
        choice = {"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}
        answer = {"id": "c", "object": "chat.completion", "created": 1, "model": "a", "choices": [choice]}
        content = json.dumps({} if hard else answer).encode()
        self.send_response(504 if hard else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""


@contextmanager
def hard_server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hard) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


@pytest.mark.timeout(240)
def test_a_question_that_fails_moves_its_own_tenant_and_two_tenants_all(
    turns: TurnStore, stack: ExitStack, start: Start
) -> None:
    pauses = {"TURNSTILE_RETRY_BASE_SECONDS": "600", "TURNSTILE_RETRY_MAX_SECONDS": "600"}
    start(stack.enter_context(hard_server()), stack.enter_context(offline_model("--model", "b")), **pauses)

    def ask(id: str, tenant: str, question: str = "hello") -> tuple[str, int, str | None, str | None]:
        return told(asked(turns, id, question, f"{tenant}/{id}", stream=False))

    moved, stayed = ("completed", 1, "b", "unreachable"), ("completed", 1, "a", None)
    assert ask("t1", "one", "hard") == moved
    assert ask("t2", "one") == moved
    assert ask("t3", "victim") == stayed
    assert ask("t4", "two", "hard") == moved
    assert ask("t5", "victim") == stayed
    assert [ask("t6", "three", "hard"), ask("t7", "four", "hard")] == [moved, moved]
    assert ask("t8", "victim") == moved
