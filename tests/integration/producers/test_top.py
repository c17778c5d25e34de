"""`turnstile top` at a real worker: what runs, who runs it, what failed."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.support.processes import Worker, environment
from tests.support.wait import PATIENCE_SECONDS, wait_until
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.producers.cli.top.look import look, rates
from turnstile.producers.cli.top.screen import screen
from turnstile.turns.settings import Settings
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
    assert found["turns"] == {"running": 2, "ready": 1, "blocked": 1}
    assert [worker["slots"] for worker in found["workers"]] == [2]
    assert {turn["turn"] for turn in found["running"]} <= {"t0", "t2", "t3"}
    assert len(found["running"]) == 2
    assert all(turn["attempt"] == 1 and turn["seconds"] >= 0 for turn in found["running"])
    assert found["failures"] == {"invalid_request": 1}
    assert found["oldest_ready_seconds"] > 0
    per_second = rates(before, found)
    assert per_second["accepted"] > 0
    console = Console(width=120, color_system=None)
    with console.capture() as shown:
        console.print(screen(found, per_second))
    for word in ("2 running", "1 ready", "1 blocked", "2 of 2 slots", "invalid_request", "accepted "):
        assert word in shown.get()
    assert "2 of 2 slots" in _run(store, "--once")
    assert "take your time" not in shown.get()
