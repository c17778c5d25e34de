"""The processes beside the driver: one server, one stand-in model, and others, and their use of the machine."""

import json
import os
import platform
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis

from tests.support.wait import wait_until
from turnstile.deploy.local.server import EmbeddedServer

ROOT = Path(__file__).parent.parent
PYTHON = sys.executable
RIVALS = str(ROOT / ".venv-rivals" / "bin" / "python")
ARQ = str(ROOT / ".venv-arq" / "bin" / "python")
START_SECONDS = 120.0

_TICK = os.sysconf("SC_CLK_TCK")


def description() -> str:
    """Describe the machine, in general terms."""
    cores = os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{cores} cores ({platform.machine()}), {memory:.0f} GiB, {platform.system()}, Python {platform.python_version()}"


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds and resident bytes of a process and its descendants."""

    cpu: float
    memory: int


def usage(pid: int) -> Usage:
    """Return the CPU and memory that a process and its descendants have used up to now."""
    total = Usage(_cpu(pid), _memory(pid))
    for child in _children(pid):
        below = usage(child)
        total = Usage(total.cpu + below.cpu, total.memory + below.memory)
    return total


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICK


def _memory(pid: int) -> int:
    """Return a process's share of resident memory: pages that forked processes have in common count once."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, file.read_text().split())
        except OSError:
            continue
    return found


class Process:
    """A process with a log, and pipes when it is one that takes orders."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], log: Path, *, orders: bool = False) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("TURNSTILE_", "OPENAI_", "REDIS_URL"))}
        pipe = subprocess.PIPE if orders else subprocess.DEVNULL
        self._log = log
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **env},
                stdin=pipe,
                stdout=pipe if orders else file,
                stderr=file,
                text=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Its id."""
        return self._process.pid

    @property
    def log(self) -> str:
        """The output so far."""
        return self._log.read_text(errors="replace")

    def usage(self) -> Usage:
        """See `usage`."""
        return usage(self.pid)

    def alive(self) -> bool:
        """Return whether the process still runs."""
        return self._process.poll() is None

    def wait_for(self, text: str) -> None:
        """Wait until its log holds `text`."""
        wait_until(lambda: text in self.log or not self.alive(), f"a process says {text!r}:\n{self.log}", START_SECONDS)
        assert self.alive(), self.log

    def read(self) -> str:
        """Return the process's next line."""
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, self.log
        return line.strip()

    def tell(self, order: Mapping[str, Any]) -> None:
        """Give it an order."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def stop(self) -> None:
        """End it and its descendants at once."""
        family = _family(self.pid)
        self._process.kill()
        self._process.wait()
        for pid in family:
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                continue
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()


def _family(pid: int) -> list[int]:
    children = _children(pid)
    return children + [below for child in children for below in _family(child)]


@dataclass(frozen=True, slots=True)
class Bench:
    """The parts that all measurements share."""

    server: EmbeddedServer
    model_url: str
    model: Process
    folder: Path

    def url(self, database: int) -> str:
        """Return the address of one database."""
        return f"{self.server.url.rpartition('/')[0]}/{database}"

    def client(self, database: int) -> redis.Redis:
        """Return a plain client; replies are bytes."""
        return redis.Redis.from_url(self.url(database))

    def answered(self) -> int:
        """Return the number of answers that the model has given."""
        return self.counts()["completed"]

    def open(self) -> int:
        """Return the number of questions that the model has not answered yet."""
        return self.counts()["open"]

    def counts(self) -> dict[str, int]:
        """Return what the model has counted."""
        with urllib.request.urlopen(self.model_url.removesuffix("/v1") + "/_stats", timeout=30) as reply:
            return dict(json.load(reply))

    def process(self, name: str, command: Sequence[str], env: Mapping[str, str], *, orders: bool = False) -> Process:
        """Start a process that asks this model."""
        log = self.folder / f"{name}-{len(list(self.folder.iterdir()))}.log"
        given = {"OPENAI_BASE_URL": self.model_url, "OPENAI_API_KEY": "none", **env}
        return Process(command, given, log, orders=orders)


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    """Yield a server with its log on disk, as shipped, and a model in a process of its own."""
    with (
        EmbeddedServer(folder / "server", options={"databases": "1000"}) as server,
        Process([PYTHON, "-m", "turnstile.workers.offline", "--port", "0"], {}, folder / "model.log", orders=True) as model,
    ):
        yield Bench(server, model.read(), model, folder)
