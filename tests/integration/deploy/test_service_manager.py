"""Messages of workers and gateways to systemd: ready once they work, and alive as long as they make progress."""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gateways import Gateway
from tests.support.processes import Process, Worker
from tests.support.wait import PATIENCE_SECONDS
from turnstile.deploy.local.server import EmbeddedServer


class Manager:
    """A service manager's ear."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(PATIENCE_SECONDS)

    def next(self) -> str:
        """Return the next word."""
        return self.socket.recv(100).decode()

    def is_quiet(self, seconds: float) -> bool:
        """Return whether nothing more comes for so long; what has come before is passed over."""
        self.socket.setblocking(False)
        try:
            while True:
                self.socket.recv(100)
        except BlockingIOError:
            self.socket.settimeout(seconds)
        try:
            self.socket.recv(100)
        except TimeoutError:
            return True
        return False


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.socket.close()


def process(kind: str, url: str, folder: Path, manager: Manager) -> Process:
    made = Worker if kind == "worker" else Gateway
    return made(url, folder, NOTIFY_SOCKET=manager.path)


@pytest.mark.parametrize("kind", ["worker", "gateway"])
def test_it_is_ready_and_then_alive_while_it_makes_progress(
    kind: str, redis_url: str, manager: Manager, tmp_path: Path
) -> None:
    with process(kind, redis_url, tmp_path, manager) as running:
        words = [manager.next() for _ in range(4)]
        assert words.count("READY=1") == 1
        assert set(words) == {"READY=1", "WATCHDOG=1"}
        running.signal(signal.SIGSTOP)
        try:
            assert manager.is_quiet(3)
        finally:
            running.signal(signal.SIGCONT)
        assert manager.next() == "WATCHDOG=1"


def test_a_gateway_is_alive_although_redis_is_not(manager: Manager, tmp_path: Path) -> None:
    with (
        EmbeddedServer(tmp_path / "server", append_only=False) as server,
        process("gateway", server.url, tmp_path, manager),
    ):
        assert manager.next() in ("READY=1", "WATCHDOG=1")
        server.kill()
        assert not manager.is_quiet(PATIENCE_SECONDS)
        assert not manager.is_quiet(PATIENCE_SECONDS)
