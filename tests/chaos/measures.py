"""Measurements beside the storm: false expiries with every core busy, and dispatches under a backlog."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import Worker, offline_model
from tests.support.wait import wait_until
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore

_PATIENCE_SECONDS = 300.0


def backlog(folder: Path, concurrency: int = 20, times: int = 10) -> dict[str, float]:
    """Dispatches for each turn, with `times` as many turns waiting as the one worker holds."""
    with EmbeddedServer(folder / "server") as server, offline_model("--latency", "2") as model_url:
        store = TurnStore(Settings(redis_url=server.url))
        turns = [f"t{number}" for number in range((times + 1) * concurrency)]
        with Worker(server.url, folder, concurrency, OPENAI_BASE_URL=model_url):
            began = time.monotonic()
            for turn in turns:
                store.submit(turn, f"s-{turn}", "question")
            _wait_for(store, len(turns))
            seconds = time.monotonic() - began
        sent = sum(store.status(turn).dispatches for turn in turns)
    return {"turns": len(turns), "held": concurrency, "dispatches": sent, "seconds": round(seconds, 1)}


def starvation(folder: Path, turns: int = 1_000, workers: int = 2) -> dict[str, float]:
    """Leases that were lost though nothing was wrong, while twice as many busy loops as cores take all the time there is."""
    cores = os.cpu_count() or 1
    with EmbeddedServer(folder / "server") as server, offline_model("--latency", "3") as model_url:
        store = TurnStore(Settings(redis_url=server.url))
        crew = [Worker(server.url, folder, 50, OPENAI_BASE_URL=model_url) for _ in range(workers)]
        try:
            for worker in crew:
                worker.start()
            with _busy(2 * cores):
                began = time.monotonic()
                for number in range(turns):
                    store.submit(f"t{number}", f"s{number % 100}", "question")
                _wait_for(store, turns)
                seconds = time.monotonic() - began
        finally:
            for worker in crew:
                worker.stop()
        counts = store.stats()
    return {
        "cores": cores,
        "loops": 2 * cores,
        "workers": workers,
        "turns": turns,
        "seconds": round(seconds, 1),
        "false": counts.get("recovered", 0),
        "dispatches": counts["sent:chat"],
    }


def _wait_for(store: TurnStore, turns: int) -> None:
    wait_until(lambda: store.stats().get("completed", 0) >= turns, "all turns are completed", _PATIENCE_SECONDS)


@contextmanager
def _busy(count: int) -> Iterator[None]:
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
