"""A worker of which one part hangs: its health file, the doctor and its log tell, and SIGTERM ends it in time."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from tests.support.ports import lasting_port
from tests.support.processes import Worker
from tests.support.wait import wait_until
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.producers.cli.doctor.check import Verdict
from turnstile.producers.cli.doctor.worker_checks import check_workers, living_workers
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore

GRACE = 1.0
# The promise is 5 s after the grace; the rest is for a machine whose cores are all busy.
BOUND = GRACE + 5.0 + 3.0
# The longest patience is 30 s.
STALE_SECONDS = 60.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path / "server", append_only=False) as own:
        yield own


@pytest.fixture
def store(server: EmbeddedServer) -> TurnStore:
    return TurnStore(Settings(redis_url=server.url))


@contextmanager
def running(store: TurnStore, folder: Path, chain: str = "", **env: str) -> Iterator[Worker]:
    """Yield a worker at work; ended with signal 9 if the test has not ended it."""
    more = {"TURNSTILE_CHAIN": f"tests.chains.hanging:{chain}"} if chain else {}
    file = {"TURNSTILE_HEALTH_FILE": str(folder / "health"), "TURNSTILE_SHUTDOWN_SECONDS": str(GRACE)}
    worker = Worker(store.url, folder, 20, **file, **more, **env)
    worker.start()
    try:
        wait_until(lambda: living_workers(store), "the worker is registered")
        wait_until((folder / "health").exists, "the worker says that it is healthy")
        yield worker
    finally:
        worker.kill()


def answers(store: TurnStore, turn: str) -> None:
    """A turn is asked and answered."""
    store.submit(turn, turn, "hello")
    wait_until(lambda: store.status(turn).state is State.COMPLETED, f"{turn} is answered")


def hang(store: TurnStore) -> None:
    """Let a turn hang."""
    store.submit("hangs", "s1", "hang")
    wait_until(lambda: store.status("hangs").state is State.RUNNING, "the turn runs")


def touched(folder: Path, seconds: float) -> bool:
    """Return whether the health file is touched within so many seconds."""
    os.utime(folder / "health", (0, 0))
    try:
        wait_until(lambda: (folder / "health").stat().st_mtime > 0, "the file is touched", seconds)
    except AssertionError:
        return False
    return True


def noticed(store: TurnStore, part: str) -> None:
    """The doctor names the part, and finds nobody at work."""
    check = wait_until(lambda: (one := check_workers(store)) and part in one.detail and one, "the doctor tells", STALE_SECONDS)
    assert check
    assert check.verdict is Verdict.FAIL
    assert living_workers(store) == {}


def children(pid: int) -> list[int]:
    """Return the processes that one has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def terminated(worker: Worker) -> int:
    """Send SIGTERM; the exit code, which must come in time."""
    assert worker.process
    worker.signal(signal.SIGTERM)
    return worker.process.wait(BOUND)


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("part", "command"), [("consuming", "brpop"), ("subscribed", "subscribe")])
def test_a_part_that_redis_refuses_is_told_everywhere(
    server: EmbeddedServer, store: TurnStore, tmp_path: Path, part: str, command: str
) -> None:
    with running(store, tmp_path) as worker, redis.Redis.from_url(server.url) as admin:
        answers(store, "before")
        assert touched(tmp_path, 30)
        admin.acl_setuser("default", enabled=True, commands=[f"-{command}"])
        admin.client_kill_filter(_type="pubsub")
        wait_until(lambda: f"no progress: {part}" in worker.text(), "the log tells", STALE_SECONDS)
        assert not touched(tmp_path, 4)
        noticed(store, part)
        admin.acl_setuser("default", enabled=True, commands=[f"+{command}"])
        wait_until(lambda: f"progress again: {part}" in worker.text(), "the log tells of its recovery", STALE_SECONDS)
        assert touched(tmp_path, 30)
        wait_until(lambda: living_workers(store), "it is at work again")
        answers(store, "after")
        assert terminated(worker) == 0


@pytest.mark.timeout(240)
def test_a_hung_main_thread_is_told_everywhere_and_sigterm_ends_it(store: TurnStore, tmp_path: Path) -> None:
    port = lasting_port()
    # Celery's own debugger waits for somebody to connect, and with it the thread that the signal came to.
    with running(store, tmp_path, CELERY_RDBSIG="1", CELERY_RDB_PORT=str(port)) as worker:
        answers(store, "before")
        worker.signal(signal.SIGUSR2)
        wait_until(lambda: "no progress: main" in worker.text(), "the log tells", STALE_SECONDS)
        noticed(store, "main")
        assert not touched(tmp_path, 4)
        assert terminated(worker) == 1
        assert "main hangs" in worker.text() or "the worker cannot end" in worker.text()


@pytest.mark.timeout(240)
def test_a_hung_loop_is_told_by_its_silence_and_sigterm_gives_its_turns_back(store: TurnStore, tmp_path: Path) -> None:
    with running(store, tmp_path, "blocks_loop") as worker:
        hang(store)
        noticed(store, "loop")
        wait_until(lambda: "no progress: " in worker.text(), "the log tells", STALE_SECONDS)
        assert not touched(tmp_path, 4)
        assert terminated(worker) == 1


@pytest.mark.timeout(240)
@pytest.mark.parametrize("chain", ["blocks_loop", "blocks_thread", "swallows"])
def test_a_turn_that_does_not_end_is_given_back_by_sigterm(store: TurnStore, tmp_path: Path, chain: str) -> None:
    with running(store, tmp_path, chain) as worker:
        hang(store)
        terminated(worker)
        assert store.status("hangs").state is State.QUEUED
        assert store.stats()["requeued"] == 1


@pytest.mark.timeout(240)
def test_sigterm_ends_a_worker_of_which_no_thread_runs(store: TurnStore, tmp_path: Path) -> None:
    with running(store, tmp_path, "holds_the_lock") as worker:
        hang(store)
        noticed(store, "loop")
        guardians = children(worker.pid)
        assert len(guardians) == 1
        assert terminated(worker) == -signal.SIGKILL
        wait_until(lambda: not Path(f"/proc/{guardians[0]}").exists(), "its guardian has ended, too")


@pytest.mark.timeout(240)
def test_a_worker_that_was_stopped_for_long_goes_on_and_ends_by_itself(store: TurnStore, tmp_path: Path) -> None:
    with running(store, tmp_path) as worker:
        worker.signal(signal.SIGSTOP)
        worker.signal(signal.SIGTERM)
        time.sleep(GRACE + 6)  # the time that it is stopped for
        worker.signal(signal.SIGCONT)
        assert worker.process
        assert worker.process.wait(BOUND) == 0


@pytest.mark.timeout(240)
def test_sigterm_ends_a_worker_whose_redis_hangs(server: EmbeddedServer, store: TurnStore, tmp_path: Path) -> None:
    with running(store, tmp_path, "swallows") as worker:
        hang(store)
        with stopped(server):
            assert terminated(worker) == 1


@pytest.mark.timeout(240)
def test_a_worker_without_turns_ends_although_its_redis_hangs(server: EmbeddedServer, store: TurnStore, tmp_path: Path) -> None:
    with running(store, tmp_path) as worker, stopped(server):
        assert terminated(worker) in (0, 1)


@contextmanager
def stopped(server: EmbeddedServer) -> Iterator[None]:
    """The server answers nothing for a while."""
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)
