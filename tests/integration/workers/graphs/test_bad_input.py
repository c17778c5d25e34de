"""Graphs and tools that go wrong in real workers: each turn ends with a clear code, its session goes on, nothing is lost."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chains.agents import entries
from tests.support.processes import Worker
from tests.support.wait import wait_until
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.turn import Record

AGENT = "tests.chains.agents:agent"


@pytest.fixture
def turns(redis_url: str) -> TurnStore:
    return TurnStore(Settings(redis_url=redis_url))


@pytest.fixture
def start(redis_url: str, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Start workers of a chain; they are ended after the test."""
    workers: list[Worker] = []

    def run(chain: str = AGENT, *, ready: bool = True) -> Worker:
        worker = Worker(redis_url, tmp_path, 20, TURNSTILE_CHAIN=chain)
        worker.start(ready=ready)
        workers.append(worker)
        return worker

    yield run
    for worker in workers:
        worker.stop()


def _ended(turns: TurnStore, id: str) -> Record:
    wait_until(lambda: turns.status(id).ended, f"turn {id} ends")
    return turns.status(id)


def _goes_on(turns: TurnStore, session: str = "foo") -> None:
    """The session answers, with a history that holds that turn alone, and no steps are left."""
    turns.submit(f"next-{session}", session, "call pay next")
    assert _ended(turns, f"next-{session}").answer == "round 1. done: paid next"
    assert len(turns.history(session)) == 4
    assert not turns.client.exists(turns.keys.steps(f"next-{session}"))


TOOLS = {
    "fail": "chain_error",
    "much": "step_not_storable",
    "strange": "step_not_storable",
    "hang": "deadline_exceeded",
    "hang_in_a_thread": "deadline_exceeded",
}


def test_tools_that_go_wrong(turns: TurnStore, start: Callable[..., Worker]) -> None:
    worker = start()
    for tool in TOOLS:
        options = Options(deadline_seconds=2) if "hang" in tool else Options()
        turns.submit(tool, f"of-{tool}", f"call pay 1 | call {tool} 1", options)
    for tool, code in TOOLS.items():
        record = _ended(turns, tool)
        assert (record.state, record.code) == (State.FAILED, code), record
        assert "secret" not in f"{record}{worker.text()}"
        _goes_on(turns, f"of-{tool}")
        assert entries().count(f"paid 1 {tool}:call-0-0") <= 1


def test_a_graph_without_messages_is_refused_at_the_start(start: Callable[..., Worker]) -> None:
    worker = start("tests.chains.agents:wordless", ready=False)
    wait_until(lambda: worker.process is not None and worker.process.poll() is not None, "the worker gives up")
    assert "TURNSTILE_CHAIN: this graph's state has no `messages`" in worker.text()
    assert "Traceback" not in worker.text()


def test_a_graph_with_a_checkpointer_of_its_own(turns: TurnStore, start: Callable[..., Worker]) -> None:
    worker = start("tests.chains.agents:with_a_saver")
    assert "has a checkpointer of its own, which is not used" in worker.text()
    _goes_on(turns)


def _killed_amid_tools(turns: TurnStore, worker: Worker, *ids: str) -> None:
    """A worker is killed when one tool of each turn has ended, and another hangs."""
    for id in ids:
        turns.submit(id, f"of-{id}", f"call pay 1 | call hang {id}")
    wait_until(lambda: {f"hangs {id}" for id in ids} <= set(entries()), "the second tools hang")
    worker.kill()


def test_checkpoints_that_are_broken(turns: TurnStore, start: Callable[..., Worker]) -> None:
    ids = ("overwritten", "halved", "incomplete")
    _killed_amid_tools(turns, start(), *ids)
    client: Any = turns.client  # redis-py's types do not know that replies are bytes
    for id in ids:
        for field, value in client.hgetall(turns.keys.steps(id)).items():
            if id == "incomplete" and field.startswith(b"checkpoint"):
                client.hdel(turns.keys.steps(id), field)
            elif id != "incomplete" and field.startswith((b"checkpoint", b"value", b"write\x1f")):
                client.hset(turns.keys.steps(id), field, b"\0damaged" if id == "overwritten" else value[: len(value) // 2])
    start()
    for id in ids:
        assert _ended(turns, id).code == "steps_unreadable"
        assert not client.exists(turns.keys.steps(id))
        _goes_on(turns, f"of-{id}")


def test_a_checkpoint_of_an_older_version_of_the_graph(turns: TurnStore, start: Callable[..., Worker]) -> None:
    _killed_amid_tools(turns, start("tests.chains.agents:older"), "a")
    start()
    assert _ended(turns, "a").code == "steps_unreadable"
    _goes_on(turns, "of-a")
