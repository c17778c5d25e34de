"""`turnstile top` at a real worker: what runs, who runs it, what failed."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.support.on_a_terminal import OnATerminal
from tests.support.processes import Worker, environment
from tests.support.wait import PATIENCE_SECONDS, wait_until
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.producers.cli.top.screen import overview
from turnstile.producers.cli.top.view import turns_of
from turnstile.producers.overview.look import look, rates
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore

_PROGRAM = str(Path(sys.executable).with_name("turnstile"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TurnStore]:
    with EmbeddedServer(tmp_path / "server", append_only=False) as server, Worker(server.url, tmp_path, 2):
        yield TurnStore(Settings(redis_url=server.url))


def _run(store: TurnStore, *words: str) -> str:
    env = environment({"REDIS_URL": store.url})
    command = [_PROGRAM, "top", *words]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True)
    return done.stdout


def test_it_shows_what_runs_what_waits_and_what_failed(store: TurnStore) -> None:
    store.submit("bad", "s0", "hi [[fail=400]]")
    wait_until(lambda: store.stats().get("failed"), "a turn has failed")
    before = look(store)
    for number in range(4):
        store.submit(f"t{number}", "s1" if number < 2 else f"s{number}", "take your time [[latency=600]]")
    wait_until(lambda: store.measure().running == 2, "all slots are in use")
    wait_until(lambda: look(store)["slots"] == {"all": 2, "busy": 2}, "the worker tells so")
    found: dict[str, Any] = json.loads(_run(store, "--once", "--json"))
    assert found["turns"] == {"running": 2, "ready": 1, "blocked": 1, "held": 0}
    assert [worker["slots"] for worker in found["workers"]] == [2]
    assert {turn["turn"] for turn in found["running"]} <= {"t0", "t2", "t3"}
    assert len(found["running"]) == 2
    assert all(turn["attempts"] == 1 and turn["seconds"] >= 0 for turn in found["running"])
    assert found["failures"] == {"invalid_request": 1}
    assert found["oldest_ready_seconds"] > 0
    assert {turn["phase"] for turn in found["waiting"]} <= {"ready", "dispatched", "blocked"}
    assert [turn["turn"] for turn in found["failed"]] == ["bad"]
    per_second = rates(before, found)
    assert per_second["accepted"] > 0
    console = Console(width=120, color_system=None)
    with console.capture() as shown:
        console.print(overview(found, per_second, turns_of(found)))
    for word in ("2 running", "1 ready", "1 blocked", "2 of 2 slots", "invalid_request", "accepted "):
        assert word in shown.get()
    assert "2 of 2 slots" in _run(store, "--once")
    assert "take your time" not in shown.get()


def test_keys_choose_a_turn_look_at_it_cancel_it_and_retry_it(store: TurnStore) -> None:
    store.submit("bad", "s0", "a secret [[fail=400]]")
    wait_until(lambda: store.stats().get("failed"), "a turn has failed")
    store.submit("slow", "s1", "a secret [[latency=600]]")
    store.submit("after", "s1", "a secret [[latency=600]]")
    wait_until(lambda: store.status("slow").state is State.RUNNING, "it runs")
    with OnATerminal(store.url, "top", "--every", "0.5", rows=40, columns=160) as person:
        person.sees("up/down choose")
        person.sees("slow")
        person.types("\x1b[B\r")
        person.sees("attempts")
        person.sees("up/down choose")
        person.types("\x1b")
        person.sees("Redis ")
        person.types("c")
        person.sees("cancel turn slow? y/n")
        person.types("n")
        person.sees("up/down choose")
        assert store.status("slow").state is State.RUNNING
        person.types("c")
        person.sees("cancel turn slow? y/n")
        person.types("y")
        person.sees("slow: cancelled")
        assert store.status("slow").state is State.CANCELLED
        # The failed turn stands last, whether the look is older than the end of the cancelled one or not.
        person.types("jjj\x1b[Br")
        person.sees("retry turn bad? y/n")
        person.types("y")
        person.sees("bad: queued")
        wait_until(lambda: store.measure().counters.get("revived"), "it is tried again")
        person.types("q")
        assert person.ends() == 0
        assert "secret" not in person.shown


def test_ctrl_c_ends_it_and_the_terminal_is_as_before(redis_url: str) -> None:
    with OnATerminal(redis_url, "top", rows=40, columns=160) as person:
        before = person.modes()
        person.sees("up/down choose")
        assert person.modes() != before
        person.types("\x03")
        assert person.ends() == 130
        assert person.modes() == before
