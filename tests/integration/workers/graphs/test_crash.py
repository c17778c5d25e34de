"""Agents in real workers that are killed, frozen, and told to stop in the middle of several tools."""

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chains.agents import entries
from tests.support.gateways import Gateway
from tests.support.processes import Worker
from tests.support.wait import wait_until
from turnstile import ChatClient
from turnstile.turns.errors import InvalidTurn
from turnstile.turns.output import call_name
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.turn import Record

QUESTION = "call pay 1; call slowly 2; call in_a_thread 3 | call pay 4"
FINISHED = ["paid 1 a:call-0-0", "threaded 3 a:call-0-2"]
BEGUN = "begun 2 a:call-0-1"
"""The unfinished call, under its idempotency key."""
LAST = "paid 4 a:call-1-0"


@pytest.fixture
def turns(redis_url: str) -> TurnStore:
    return TurnStore(Settings(redis_url=redis_url))


@pytest.fixture
def start(redis_url: str, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Start workers whose chain is an agent; they are ended after the test."""
    workers: list[Worker] = []

    def run(**env: str) -> Worker:
        worker = Worker(redis_url, tmp_path, 20, **{"TURNSTILE_CHAIN": "tests.chains.agents:agent", **env})
        workers.append(worker)
        worker.start()
        return worker

    yield run
    for worker in workers:
        worker.stop()


def _amid_tools(turns: TurnStore) -> None:
    """Ask, and wait until two tools have ended and their results are kept, and one has begun."""
    turns.submit("a", "foo", QUESTION)
    wait_until(lambda: {*FINISHED, BEGUN} <= set(entries()), "all three tools have begun")

    def kept() -> bool:
        client: Any = turns.client  # redis-py's types do not know that replies are bytes
        found = client.hgetall(turns.keys.steps("a"))
        results = [value for name, value in found.items() if name.startswith(b"write\x1f") and b"ToolMessage" in value]
        return len(results) == 2

    wait_until(kept, "two results are kept")


def _ended(turns: TurnStore, id: str = "a") -> Record:
    wait_until(lambda: turns.status(id).ended, "the turn ends")
    return turns.status(id)


def _assert_done_once(turns: TurnStore, *, begun: int) -> Record:
    record = _ended(turns)
    assert record.state is State.COMPLETED, record
    noted = entries()
    assert [noted.count(entry) for entry in (*FINISHED, LAST)] == [1, 1, 1], noted
    assert noted.count(BEGUN) == begun
    assert record.answer == "round 1. round 2. done: paid 1, ended 2, threaded 3, paid 4"
    assert len(turns.history("foo")) == 8
    assert not turns.client.exists(turns.keys.steps("a"))
    return record


def test_a_worker_that_is_killed_amid_tools(turns: TurnStore, start: Callable[..., Worker], ledger: Path) -> None:
    first = start()
    _amid_tools(turns)
    start()
    first.kill()
    wait_until(lambda: entries().count(BEGUN) == 2, "the unfinished tool begins again")
    ledger.with_name("go").touch()
    record = _assert_done_once(turns, begun=2)
    assert record.attempts == 2


def test_a_worker_that_is_frozen_makes_no_more_calls(turns: TurnStore, start: Callable[..., Worker], ledger: Path) -> None:
    frozen = start(TURNSTILE_LEASE_SECONDS="1")
    _amid_tools(turns)
    frozen.signal(signal.SIGSTOP)
    start(TURNSTILE_LEASE_SECONDS="1")
    wait_until(lambda: entries().count(BEGUN) == 2, "another worker goes on")
    ledger.with_name("go").touch()
    _ended(turns)
    frozen.signal(signal.SIGCONT)
    wait_until(lambda: entries().count("ended 2") == 2, "the frozen worker's tool ends")
    turns.submit("b", "bar", "hello")
    _ended(turns, "b")
    _assert_done_once(turns, begun=2)


def test_a_worker_that_is_told_to_stop_hands_the_step_on(turns: TurnStore, start: Callable[..., Worker], ledger: Path) -> None:
    first = start(TURNSTILE_SHUTDOWN_SECONDS="60")
    _amid_tools(turns)
    first.signal(signal.SIGTERM)
    wait_until(lambda: "taking no more turns; 1 at work" in first.text(), "the worker is told to stop")
    ledger.with_name("go").touch()
    wait_until(lambda: first.process and first.process.poll() is not None, "the worker has ended")
    assert LAST not in entries()
    assert turns.status("a").state is State.QUEUED
    start()
    _assert_done_once(turns, begun=1)


def test_questions_that_steer_outlive_the_worker_that_took_them(
    turns: TurnStore, start: Callable[..., Worker], ledger: Path
) -> None:
    first = start()
    turns.submit("a", "foo", "call slowly 1 | call pay 0")
    wait_until(lambda: len(entries()) == 1, "the tool has begun")
    turns.submit("b", "foo", "call slowly 2; call pay 3", when_busy="steer")
    ledger.with_name("go-1").touch()
    wait_until(lambda: "paid 3" in " ".join(entries()), "the first question is taken")
    turns.submit("c", "foo", "well?", when_busy="steer")
    start()
    first.kill()
    wait_until(lambda: _begun("2") == 2, "another worker goes on")
    ledger.with_name("go").touch()
    records = [_ended(turns, id) for id in "abc"]
    assert {(record.state, record.text) for record in records} == {(State.COMPLETED, "round 1. round 1. done: ")}
    assert [record.merged for record in records] == [None, "a", "a"]
    assert (_begun("1"), _begun("2"), len([entry for entry in entries() if entry.startswith("paid")])) == (1, 2, 1)
    assert _told(turns) == ["human", "ai", "tool", "human", "ai", "tool", "tool", "human", "ai"]


def test_a_worker_that_dies_after_the_steer_leaves_the_question_to_the_next(
    turns: TurnStore, start: Callable[..., Worker], ledger: Path
) -> None:
    first = start()
    turns.submit("a", "foo", "call slowly 1 | call pay 0")
    wait_until(lambda: len(entries()) == 1, "the tool has begun")
    first.signal(signal.SIGSTOP)
    turns.submit("b", "foo", "well?", when_busy="steer")
    first.kill()
    start()
    wait_until(lambda: _begun("1") == 2, "another worker goes on")
    ledger.with_name("go").touch()
    assert [(_ended(turns, id).state, _ended(turns, id).merged) for id in "ab"] == [
        (State.COMPLETED, None),
        (State.COMPLETED, "a"),
    ]
    assert _told(turns) == ["human", "ai", "tool", "human", "ai"]


def _begun(what: str) -> int:
    return sum(entry.startswith(f"begun {what} ") for entry in entries())


def _told(turns: TurnStore) -> list[str]:
    return [json.loads(element)["type"] for element in reversed(turns.history("foo"))]


def test_an_approval_outlives_every_worker(turns: TurnStore, start: Callable[..., Worker]) -> None:
    first = start(TURNSTILE_CHAIN="tests.chains.agents:asks_first")
    turns.submit("a", "foo", "call pay 1; call in_a_thread 2")
    [call] = _ended(turns).calls
    first.kill()
    turns.submit("b", "foo", "", Options(answers={call_name(call): "approve"}))
    start(TURNSTILE_CHAIN="tests.chains.agents:asks_first")
    record = _ended(turns, "b")
    assert record.answer == "done: paid 1, threaded 2"
    assert sorted(entries()) == ["paid 1 a:call-0-0", "threaded 2 a:call-0-1"]
    assert len(turns.history("foo")) == 5


CHAINS = '{"agent": "tests.chains.agents:made_async", "topic": "tests.chains.agents:asks_topic"}'


def test_chains_are_chosen_by_name(redis_url: str, turns: TurnStore, start: Callable[..., Worker]) -> None:
    start(TURNSTILE_CHAIN="", TURNSTILE_CHAINS=CHAINS)
    client = ChatClient(redis_url)
    assert client.ask("foo", "call pay 1", id="a", chain="agent").result(60) == "round 1. done: paid 1"
    assert "pay" in client.ask("foo", "call pay 1", id="b").result(60)
    assert entries() == ["paid 1 a:call-0-0"]
    with pytest.raises(InvalidTurn, match="agent, topic"):
        client.ask("foo", "hi", chain="other")
    turns.submit("c", "foo", "hi", Options(chain="other"))
    assert _ended(turns, "c").code == "unknown_chain"


def test_a_request_chooses_a_chain_as_its_model(redis_url: str, tmp_path: Path, start: Callable[..., Worker]) -> None:
    start(TURNSTILE_CHAIN="", TURNSTILE_CHAINS=CHAINS)
    with Gateway(redis_url, tmp_path) as gateway, gateway.sdk() as sdk:
        assert {"agent", "topic"} < {model.id for model in sdk.models.list()}
        assert sdk.models.retrieve("agent").id == "agent"
        response = sdk.responses.create(model="agent", input="call pay 1")
        assert (response.model, response.output_text) == ("agent", "round 1. done: paid 1")
        completion = sdk.chat.completions.create(model="agent", messages=[{"role": "user", "content": "call pay 2"}])
        assert (completion.model, completion.choices[0].message.content) == ("agent", "round 1. done: paid 2")
        assert sdk.responses.create(model="some-other-model", input="call pay 3").model != "agent"
