"""Real processes for acceptance tests: Celery workers, and the offline model on its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.wait import PATIENCE_SECONDS, wait_until
from turnstile.deploy.local.parent_death import die_with_parent, start_from_a_lasting_thread

ROOT = Path(__file__).parents[2]
# The names lead to this copy of the project, also where the interpreter is another copy's.
_PATH = os.pathsep.join((str(ROOT / ".venv" / "names"), str(ROOT)))


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without its Turnstile settings, plus `extra`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TURNSTILE_", "OPENAI_", "OTEL_", "REDIS_URL"))}
    return {**kept, "PYTHONPATH": _PATH, "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1", **extra}


def launch(command: list[str], **how: Any) -> subprocess.Popen[Any]:
    """Start a process that ends with this one, however this one ends."""
    return start_from_a_lasting_thread(lambda: subprocess.Popen(die_with_parent(command), **{"cwd": ROOT, **how}))


class Process:
    """A command in a process of its own, which ends with this one; its output is `log`."""

    def __init__(self, log: Path, command: list[str], env: dict[str, str]) -> None:
        self.log, self.command, self.env = log, command, env
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self.process
        return self.process.pid

    def text(self) -> str:
        """Return the output so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def readiness(self) -> Callable[[], bool]:
        """Return the check whether the process that starts next is ready."""
        return lambda: True

    def start(self, *, ready: bool = True) -> None:
        """Start the process, and wait until it is ready."""
        is_ready = self.readiness()
        with self.log.open("ab") as log:
            process = launch(self.command, env=self.env, stdout=log, stderr=log)
        self.process = process
        if ready:
            wait_until(lambda: process.poll() is not None or is_ready(), f"{type(self).__name__} is ready")
            assert process.poll() is None, self.text()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process; when it is SIGSTOP, return once every thread has stopped."""
        os.kill(self.pid, number)
        if number == signal.SIGSTOP:
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)

    def kill(self) -> None:
        """End the process with signal 9."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def stop(self, seconds: float = PATIENCE_SECONDS) -> int:
        """End the process with SIGTERM, or with signal 9 if that takes too long; return its exit code."""
        assert self.process
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


class Worker(Process):
    """One `celery -A turnstile worker` process."""

    _count = 0

    def __init__(self, redis_url: str, folder: Path, concurrency: int = 20, *, queues: str = "", **env: str) -> None:
        Worker._count += 1
        options = ["-n", f"w{Worker._count}@%h", "-c", str(concurrency), "--loglevel=INFO", *(["-Q", queues] if queues else [])]
        super().__init__(
            folder / f"worker-{Worker._count}.log",
            [sys.executable, "-m", "celery", "-A", "turnstile", "worker", *options],
            environment({"REDIS_URL": redis_url, **env}),
        )

    def readiness(self) -> Callable[[], bool]:
        """Return the check whether the worker takes tasks."""
        seen = self.text().count(" ready.")
        return lambda: self.text().count(" ready.") > seen


@contextmanager
def offline_model(*args: str) -> Iterator[str]:
    """Run the offline model in a process of its own, and yield its base URL."""
    command = [sys.executable, "-m", "turnstile.workers.offline", "--port", "0", *args]
    with launch(command, env=environment({}), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def is_gone(pid: int) -> bool:
    """Return whether a process has ended; one that only waits to be reaped by its parent has."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except ProcessLookupError:
        return True
    except FileNotFoundError:
        # Ended in between, or a system without /proc.
        return Path("/proc").is_dir()
