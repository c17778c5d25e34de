"""Everything on one machine: embedded server, workers and Flower as real processes."""

import io
import os
import signal
import socket
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from tests.support.processes import is_gone
from tests.support.wait import wait_until
from turnstile.deploy.local.errors import FolderInUse, PortTaken
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.deploy.local.stack import LocalStack, StackNotReady
from turnstile.turns.errors import SettingError
from turnstile.turns.redis.connection import server_url
from turnstile.turns.redis.local_server import RUNTIME_FILE
from turnstile.turns.settings import Settings


@pytest.fixture
def local(tmp_path: Path) -> Settings:
    return Settings(data_dir=str(tmp_path / "a folder"), shutdown_seconds=1)


def pids(stack: LocalStack) -> list[int]:
    return [child.pid for child in stack._supervisor.children]


def test_all_come_up_and_all_are_gone_after(local: Settings) -> None:
    log = io.StringIO()
    with LocalStack(local, workers=1, web=True, log=log) as stack:
        addresses = stack.addresses
        with redis.Redis.from_url(addresses.redis_url) as client:
            assert client.ping()
        with urllib.request.urlopen(f"{addresses.flower_url}/healthcheck") as answer:
            assert answer.status == 200
        published = Path(local.data_dir) / RUNTIME_FILE
        assert server_url(local) == addresses.redis_url
        assert stat.S_IMODE(published.stat().st_mode) == 0o600
        with pytest.raises(FolderInUse):
            LocalStack(local).start()
        assert published.exists()
        running = pids(stack)
    assert len(running) == 3
    assert all(is_gone(pid) for pid in running)
    assert not published.exists()
    assert "worker.1 is ready" in log.getvalue()
    assert "unexpectedly" not in log.getvalue()
    noise = ("[config]", "[tasks]", "Registered tasks", "Inspect method", "Uvicorn running")
    assert not [line for line in log.getvalue().splitlines() if any(word in line for word in noise)]
    assert addresses.redis_url.rpartition("@")[0].rpartition(":")[2] not in log.getvalue()


def test_a_server_that_is_set_is_used_and_none_is_started(redis_url: str, tmp_path: Path) -> None:
    settings = Settings(redis_url=redis_url, data_dir=str(tmp_path / "data"), shutdown_seconds=1)
    with LocalStack(settings, workers=1, flower=False) as stack:
        assert stack.addresses.redis_url == redis_url
        assert stack.addresses.flower_url == ""
    assert not (tmp_path / "data").exists()


def test_a_killed_embedded_server_comes_back_with_its_data(local: Settings) -> None:
    log = io.StringIO()
    with LocalStack(local, workers=0, flower=False, log=log) as stack:
        with redis.Redis.from_url(stack.addresses.redis_url) as client:
            client.set("key", "value")
            first = client.info("server")["process_id"]
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: _value(stack.addresses.redis_url) == b"value", "the server is back with its data")
    assert "the embedded server ended unexpectedly" in log.getvalue()


def _value(url: str) -> object:
    try:
        with redis.Redis.from_url(url) as client:
            return client.get("key")
    except redis.ConnectionError:
        return None


def test_a_port_that_was_asked_for_is_not_replaced(local: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=f"port {port} for web is in use"):
            LocalStack(local, workers=0, flower=False, web=True, web_port=port)


def test_a_worker_that_cannot_start_is_shown_and_nothing_stays(local: Settings) -> None:
    broken = local.model_copy(update={"chain": "no_such_module:chain"})
    stack = LocalStack(broken, workers=1, flower=False)
    with pytest.raises(StackNotReady, match=r"worker\.1 did not come up(?s:.)*TURNSTILE_CHAIN"), stack:
        pass
    assert stack.broken.result() == "worker.1"
    assert not (Path(local.data_dir) / RUNTIME_FILE).exists()


def test_a_stack_that_fails_to_start_leaves_nothing(local: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnstile.deploy.procfile.commands", dict)
    stack = LocalStack(local, workers=1, flower=False)
    with pytest.raises(SettingError, match="no command 'worker'"):
        stack.start()
    assert not (Path(local.data_dir) / RUNTIME_FILE).exists()
    with EmbeddedServer(Path(local.data_dir)) as freed:
        assert freed.pid


# How Celery says it.
TAKES_WORK = " ready.\n"
UP = (
    "import sys; from turnstile.deploy.local.up import up; from turnstile.turns.settings import Settings\n"
    "sys.exit(up(Settings.load(), workers=1, flower=False))"
)


@contextmanager
def run_up(settings: Settings, **environment: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", UP],
        env={**os.environ, "TURNSTILE_DATA_DIR": settings.data_dir, "TURNSTILE_SHUTDOWN_SECONDS": "1", **environment},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def lines_until(process: subprocess.Popen[str], what: str) -> list[str]:
    assert process.stderr is not None
    lines: list[str] = []
    for line in process.stderr:
        lines.append(line)
        if what in line:
            return lines
    raise AssertionError("".join([f"{what!r} was never said:\n", *lines]))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_runs_until_it_is_asked_to_end(local: Settings, number: signal.Signals) -> None:
    with run_up(local) as process:
        start = lines_until(process, TAKES_WORK)
        assert any("offline stand-in" in line for line in start)
        assert not any(banner in line for line in start for banner in ("[config]", "[queues]", "[tasks]", ".> transport"))
        # As the terminal does on Ctrl-C: to the whole group, which the children are not in.
        os.killpg(process.pid, number)
        rest = lines_until(process, "| stopped")
        assert process.wait() == 0
    assert any("Warm shutdown" in line for line in rest)
    assert not any("unexpectedly" in line for line in rest)
    assert not (Path(local.data_dir) / RUNTIME_FILE).exists()


def test_a_second_ctrl_c_ends_up_at_once(local: Settings, tmp_path: Path) -> None:
    with run_up(local, TURNSTILE_SHUTDOWN_SECONDS="600") as process:
        lines_until(process, TAKES_WORK)
        worker = _worker_pid(process.pid)
        os.kill(worker, signal.SIGSTOP)
        process.send_signal(signal.SIGINT)
        lines_until(process, "| stopping")
        process.send_signal(signal.SIGINT)
        lines_until(process, "| stopped")
        assert process.wait() == 0
        assert is_gone(worker)


def _worker_pid(parent: int) -> int:
    command = ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="]
    rows = [row.split(maxsplit=2) for row in subprocess.check_output(command, text=True).splitlines()]
    return next(int(pid) for pid, ppid, args in rows if int(ppid) == parent and "worker" in args)


def test_up_ends_with_status_1_when_workers_cannot_run(local: Settings) -> None:
    with run_up(local, TURNSTILE_CHAIN="no_such_module:chain") as process:
        lines = lines_until(process, "| stopped")
        assert process.wait() == 1
    assert any("giving up" in line for line in lines)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their starter")
def test_nothing_outlives_an_up_that_is_killed_and_the_next_one_works(local: Settings) -> None:
    with run_up(local) as process:
        lines_until(process, TAKES_WORK)
        worker = _worker_pid(process.pid)
    wait_until(lambda: is_gone(worker), "the worker has ended")
    with run_up(local) as process:
        lines_until(process, TAKES_WORK)
        process.send_signal(signal.SIGTERM)
        lines_until(process, "| stopped")
        assert process.wait() == 0
