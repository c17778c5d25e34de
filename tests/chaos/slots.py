"""The processes of a run, each behind a proxy: workers, producers, a gateway, Flower; started again after each kill."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import httpx
import redis

from tests.chaos.proxy import FaultProxy
from tests.chaos.rights import Role, url
from tests.support.gateways import Gateway
from tests.support.ports import lasting_port
from tests.support.processes import Worker, environment, launch
from tests.support.wait import wait_until
from turnstile.turns.redis.keys import Keys

READY_SECONDS = 90.0
_DOOM_SECONDS = 120.0
_BEGIN_SECONDS = 10.0
_POLL_SECONDS = 0.2


class HasProcess(Protocol):
    """Whatever has a proxy and a process."""

    proxy: FaultProxy

    @property
    def pid(self) -> int:
        """The process's id, when it is a worker's; else 0."""


class WorkerSlot:
    """A worker's place: its proxy, its process of the moment, and a lock for whoever breaks it."""

    def __init__(self, proxy: FaultProxy, folder: Path, concurrency: int, settings: dict[str, str]) -> None:
        self.proxy = proxy
        self.busy = threading.Lock()
        self._health = folder / f"health-{proxy.port}"
        settings = {**settings, "TURNSTILE_HEALTH_FILE": str(self._health)}
        self._worker = Worker(url(Role.WORKER, proxy.port), folder, concurrency, **settings)
        self.pids: set[int] = set()
        """Every process that has been here."""

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._worker.pid

    @property
    def code(self) -> int | None:
        """The process's exit code; None while it runs."""
        return self._worker.process.poll() if self._worker.process else None

    @property
    def health_age(self) -> float:
        """Seconds since the process last touched its health file."""
        return time.time() - self._health.stat().st_mtime if self._health.exists() else float("inf")

    def start(self) -> None:
        """Start a process, without waiting for it."""
        self._worker.start(ready=False)
        self.pids.add(self.pid)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._worker.signal(number)

    def kill(self) -> None:
        """End the process with signal 9."""
        self._worker.kill()

    def stop(self) -> None:
        """End the process in order."""
        if self._worker.process:
            with suppress(subprocess.TimeoutExpired):
                self._worker.stop()

    def wait_until_at_work(self, client: redis.Redis) -> None:
        """Wait until the process says in Redis that it is at work; a process that ends while starting is started again."""
        wait_until(lambda: self._is_at_work(client), f"worker {self.pid} is at work", READY_SECONDS)

    def _is_at_work(self, client: redis.Redis) -> bool:
        assert self._worker.process
        if self._worker.process.poll() is not None:
            self.start()
        with suppress(redis.RedisError):
            names = [name.decode() for name in client.hkeys(Keys().workers)]  # type: ignore[union-attr]  # redis-py's union
            return any(name.split("-")[-2] == str(self.pid) for name in names)
        return False


class ProducerSlot:
    """A producer's place: its proxy, its record, and its process of the moment."""

    pid = 0

    def __init__(
        self, proxy: FaultProxy, folder: Path, name: str, address: str, seed: int, pause: float, sessions: list[str]
    ) -> None:
        self.proxy = proxy
        self.record = folder / f"{name}.jsonl"
        self.busy = threading.Lock()
        self._log = folder / f"{name}.log"
        words = [address, str(self.record), name, str(seed), str(pause), *sessions]
        self._command = [sys.executable, "-m", "tests.chaos.producer", *words]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start a process, without waiting for it."""
        with self._log.open("ab") as log:
            self._process = launch(self._command, env=environment({}), stdout=log, stderr=log)

    def doom(self) -> None:
        """Have the process kill itself around its next submission, and wait for that."""
        assert self._process
        self._process.send_signal(signal.SIGUSR1)
        self._process.wait(_DOOM_SECONDS)

    def kill(self) -> None:
        """End the process with signal 9."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def begins(self) -> bool:
        """Return whether the process, or an earlier one, has begun to submit."""
        return self.record.exists() and self.record.stat().st_size > 0

    def end(self, is_patient: Callable[[], bool]) -> list[str]:
        """Have the process end after the turns that it follows; one that died of its own is started to take up the rest.

        Return what is wrong when it does not end: what it waits for never comes.
        """
        while self._process and is_patient():
            self._process.terminate()
            while self._process.poll() is None and is_patient():
                time.sleep(_POLL_SECONDS)
            if not self._process.poll():
                break
            self.start()
            # A signal would kill it before its handlers are there.
            time.sleep(_BEGIN_SECONDS)
        if self._process and self._process.poll() == 0:
            return []
        self.kill()
        return [f"producer {self.record.stem} does not end: {self._log.read_text()[-500:]}"]


class GatewaySlot:
    """The gateway's place."""

    pid = 0

    def __init__(self, proxy: FaultProxy, folder: Path, settings: dict[str, str]) -> None:
        self.proxy = proxy
        self.busy = threading.Lock()
        # While it is down, nobody else is to find its port free who takes the usual ones.
        self._gateway = Gateway(url(Role.GATEWAY, proxy.port), folder, lasting_port(), **settings)
        self.url = self._gateway.url

    def start(self) -> None:
        """Start a process, and wait until it answers."""
        self._gateway.start()

    def kill(self) -> None:
        """End the process with signal 9."""
        if self._gateway.process:
            self._gateway.kill()

    def is_ready(self) -> bool:
        """Return whether the gateway reports that it is ready."""
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200
        return False


class FlowerSlot:
    """Flower's place."""

    pid = 0

    def __init__(self, proxy: FaultProxy, folder: Path) -> None:
        self.proxy = proxy
        port = lasting_port()
        self.url = f"http://127.0.0.1:{port}"
        self._log = folder / "flower.log"
        self._command = [sys.executable, "-m", "celery", "-A", "turnstile", "flower", "--address=127.0.0.1", f"--port={port}"]
        self._env = environment({"REDIS_URL": url(Role.FLOWER, proxy.port), "FLOWER_UNAUTHENTICATED_API": "true"})
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process, without waiting for it."""
        with self._log.open("ab") as log:
            self._process = launch(self._command, env=self._env, stdout=log, stderr=log)

    def kill(self) -> None:
        """End the process with signal 9."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def is_up(self) -> bool:
        """Return whether Flower answers."""
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/healthcheck", timeout=5).is_success
        return False

    def state(self, turn: str) -> str:
        """Return Flower's state of a task; empty while it does not know the task, or does not answer."""
        with suppress(httpx.TransportError, ValueError):
            return str(httpx.get(f"{self.url}/api/task/info/{turn}", timeout=5).json().get("state", ""))
        return ""

    def revoke(self, turn: str, *, terminate: bool) -> None:
        """Have it revoke a task."""
        with suppress(httpx.TransportError):
            httpx.post(f"{self.url}/api/task/revoke/{turn}", params={"terminate": str(terminate).lower()}, timeout=10)
