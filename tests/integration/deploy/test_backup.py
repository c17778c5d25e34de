"""A backup of a server at work, restored elsewhere: what was accepted before it is answered once and in order."""

import itertools
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import pytest
import redis

from tests.chaos.checker import check, collect, history_turns
from tests.chaos.findings import Findings
from tests.chaos.record import Entry, visible
from tests.support.processes import Worker, environment, offline_model
from tests.support.turns import ended
from tests.support.wait import wait_until
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore

_SESSIONS = 10
_LOG = "appendonlydir"
_SNAPSHOT = "dump.rdb"


class Asking:
    """A caller that asks in a few sessions, one question after another, while the block runs."""

    def __init__(self, store: TurnStore) -> None:
        self.entries: dict[str, Entry] = {}
        self._store = store
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._enough.set()
        self._thread.join()

    def _ask(self) -> None:
        for number in itertools.count():
            turn, session, sent = f"t{number}", f"s{number % _SESSIONS}", time.time()
            self._store.submit(turn, session, f"{visible(turn)} [[latency=0.2 tokens-per-second=100]]")
            self.entries[turn] = Entry(turn, session, sent, time.time())
            if self._enough.wait(0.02):
                return

    def wait_for_more(self, turns: int = 20) -> float:
        """Return the time now, when so many more turns have been accepted since."""
        now, wanted = time.time(), len(self.entries) + turns
        wait_until(lambda: len(self.entries) >= wanted, "more turns are accepted")
        return now


@contextmanager
def at_work(folder: Path) -> Iterator[tuple[EmbeddedServer, Asking]]:
    """A server on which turns have run for a while, and run on; it dies at the end, and its worker with it."""
    with EmbeddedServer(folder) as server:
        store = TurnStore(Settings(redis_url=server.url))
        with Worker(server.url, folder) as worker:
            with Asking(store) as asking:
                wait_until(lambda: store.stats().get("completed", 0) >= 2 * _SESSIONS, "turns have run")
                yield server, asking
                done = store.stats()["completed"]
                wait_until(lambda: store.stats()["completed"] > done, "turns run on after the copy")
            worker.kill()
        server.kill()


def finish(url: str, folder: Path, entries: dict[str, Entry], before: float) -> tuple[Findings, set[str]]:
    """Let workers end what a restored server holds; return what is wrong with it, and the turns that it does not know.

    Turns that were accepted after `before` may be there or not.
    """
    store = TurnStore(Settings(redis_url=url))
    assert store.stats()["open"] > 0
    assert turnstile(url, "audit") == "no session or schedule was lost\n"
    with Worker(url, folder):
        wait_until(lambda: not store.stats().get("open"), "all turns have ended")
    judged = {id: entry if (entry.accepted or 0) < before else replace(entry, accepted=None) for id, entry in entries.items()}
    remains = collect(store, judged.values())
    return check(judged, remains, ()), entries.keys() - remains.records.keys()


def turnstile(url: str, *words: str) -> str:
    program = f"from turnstile.producers.cli.commands import main; main({[*words]})"
    done = subprocess.run([sys.executable, "-c", program], env=environment({"REDIS_URL": url}), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("torn", [0, 41], ids=["whole", "torn"])
def test_a_copy_of_the_log(tmp_path: Path, torn: int) -> None:
    with at_work(tmp_path / "old") as (server, asking):
        with redis.Redis.from_url(server.url) as client:
            client.config_set("auto-aof-rewrite-percentage", 0)
            _wait_for(client, "aof_rewrite_in_progress", 0)
        before = asking.wait_for_more()
        shutil.copytree(tmp_path / "old" / _LOG, tmp_path / "new" / _LOG)
    (log,) = (tmp_path / "new" / _LOG).glob("*.incr.aof")
    os.truncate(log, log.stat().st_size - torn)
    with EmbeddedServer(tmp_path / "new") as server:
        wrong, unknown = finish(server.url, tmp_path, asking.entries, before)
    assert wrong == Findings()
    assert unknown


def test_a_snapshot(tmp_path: Path) -> None:
    with at_work(tmp_path / "old") as (server, asking), redis.Redis.from_url(server.url) as client:
        before = asking.wait_for_more()
        client.bgsave()
        _wait_for(client, "rdb_bgsave_in_progress", 0)
        asking.wait_for_more()
        (tmp_path / "new").mkdir()
        shutil.copy(tmp_path / "old" / _SNAPSHOT, tmp_path / "new" / _SNAPSHOT)
    with EmbeddedServer(tmp_path / "new", append_only=False) as server, redis.Redis.from_url(server.url) as client:
        client.config_set("appendonly", "yes")
        _wait_for(client, "aof_rewrite_in_progress", 0)
        _wait_for(client, "aof_rewrite_scheduled", 0)
        assert client.info("persistence")["aof_last_bgrewrite_status"] == "ok"
    with EmbeddedServer(tmp_path / "new") as server:
        wrong, unknown = finish(server.url, tmp_path, asking.entries, before)
    assert wrong == Findings()
    assert unknown


@pytest.fixture
def model() -> Iterator[str]:
    """Yield the address of a model that outlives the workers which ask it."""
    with offline_model() as url:
        yield url


def _asking(server: EmbeddedServer, folder: Path, model: str) -> Worker:
    return Worker(server.url, folder, OPENAI_BASE_URL=model, OPENAI_API_KEY="none")


def _asked(model: str) -> bool:
    return bool(httpx.get(f"{model.removesuffix('/v1')}/_stats").json()["open"])


def test_a_turn_that_ran_at_the_time_of_an_old_backup(tmp_path: Path, model: str) -> None:
    """Its deadline has passed; a retry gives it another."""
    with EmbeddedServer(tmp_path / "old") as server, _asking(server, tmp_path, model) as worker:
        store = TurnStore(Settings(redis_url=server.url))
        store.submit("t1", "s1", f"{visible('t1')} [[hang times=1 key=t1]]")
        wait_until(lambda: _asked(model), "the model is asked")
        store.submit("t2", "s1", visible("t2"))
        shutil.copytree(tmp_path / "old" / _LOG, tmp_path / "new" / _LOG)
        worker.kill()
    with EmbeddedServer(tmp_path / "new") as server:
        store = TurnStore(Settings(redis_url=server.url))
        store.client.hincrby(store.keys.turn("t1"), "started", -3_600_000)
        with _asking(server, tmp_path, model):
            assert ended(store, "t1").code == "deadline_exceeded"
            assert ended(store, "t2").state is State.COMPLETED
            turnstile(server.url, "failed", "--code", "deadline_exceeded", "--retry")
            wait_until(lambda: store.status("t1").state is State.COMPLETED, "the retry is answered")
        assert history_turns(store.history("s1")) == ["t2", "t1"]


def _wait_for(client: redis.Redis, field: str, value: Any) -> None:
    wait_until(lambda: client.info("persistence")[field] == value, f"{field} is {value}")


def test_a_snapshot_is_not_read_by_a_server_that_has_a_log(tmp_path: Path) -> None:
    """The reason why a snapshot is restored in two steps."""
    with EmbeddedServer(tmp_path, append_only=False) as server, redis.Redis.from_url(server.url) as client:
        client.set("a", "b")
        client.save()
    assert (tmp_path / _SNAPSHOT).stat().st_size
    with EmbeddedServer(tmp_path) as server, redis.Redis.from_url(server.url) as client:
        assert client.dbsize() == 0
