"""The processes of a run: workers and producers, each behind a proxy of its own, started again after each kill."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import redis

from tests.chaos.proxy import FaultProxy, ProxyThread
from tests.processes import ROOT, Worker, environment
from tests.support import wait_until
from turns.keys import Keys

READY_SECONDS = 90.0
_STOP_SECONDS = 120.0


class Post:
    """A worker's place: its proxy, its process of the moment, and a lock for whoever breaks it."""

    def __init__(self, proxy: FaultProxy, folder: Path, concurrency: int, settings: dict[str, str]) -> None:
        self.proxy = proxy
        self.busy = threading.Lock()
        url = f"redis://127.0.0.1:{proxy.port}/0"
        self._worker = Worker(url, folder, concurrency, **settings)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._worker.pid

    def start(self) -> None:
        """Start a process, without waiting for it."""
        self._worker.start(ready=False)

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


class ProducerPost:
    """A producer's place: its proxy, its record, and its process of the moment."""

    def __init__(self, proxy: FaultProxy, folder: Path, name: str, seed: int, pause: float, sessions: list[str]) -> None:
        self.proxy = proxy
        self.record = folder / f"{name}.jsonl"
        self.busy = threading.Lock()
        self._log = folder / f"{name}.log"
        url = f"redis://127.0.0.1:{proxy.port}/0"
        words = [url, str(self.record), name, str(seed), str(pause), *sessions]
        self._command = [sys.executable, "-m", "tests.chaos.producer", *words]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start a process, without waiting for it."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, env=environment({}), cwd=ROOT, stdout=log, stderr=log)

    def doom(self) -> None:
        """Have the process kill itself around its next submission, and wait for that."""
        assert self._process
        self._process.send_signal(signal.SIGUSR1)
        self._process.wait(_STOP_SECONDS)

    def kill(self) -> None:
        """End the process with signal 9."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def begins(self) -> bool:
        """Whether the process has begun to submit, or an earlier one had."""
        return self.record.exists() and self.record.stat().st_size > 0

    def end(self) -> None:
        """Have the process end after the turn at hand; a process that died of its own is started to take up the rest."""
        deadline = time.monotonic() + _STOP_SECONDS
        while self._process and time.monotonic() < deadline:
            self._process.terminate()
            code = self._process.wait(_STOP_SECONDS)
            if code == 0:
                return
            self.start()
            time.sleep(1)
        raise AssertionError(f"a producer does not end: {self._log.read_text()[-2000:]}")


def open_posts(thread: ProxyThread, port: int, count: int, make: Callable[[FaultProxy], Post]) -> list[Post]:
    """`count` workers' places in front of a server."""
    return [make(thread.open(port)) for _ in range(count)]
