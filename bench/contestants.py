"""Everyone who answers the same questions: Turnstile, the rivals, and the bare loop."""

import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import Self
from uuid import uuid4

from bench.history import MESSAGES, window
from bench.machine import ARQ, PYTHON, RIVALS, Bench, Process, Usage
from tests.support.wait import wait_until
from turnstile.memory.codec import encode
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore

_databases = itertools.count(1)
_BATCH = 500


class Contestant(ABC):
    """A worker, and how to give it turns; it runs inside `with`.

    `ask` enqueues one turn for each session name; `answered` is how many turns are done and stored.
    """

    name = ""

    def __init__(self, bench: Bench, in_flight: int) -> None:
        self.bench = bench
        self.in_flight = in_flight
        self.database = next(_databases)
        self.client = bench.client(self.database)
        self.asked = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Its database."""
        return self.bench.url(self.database)

    @abstractmethod
    def start(self) -> None:
        """Start the worker; `ready` waits for it."""

    @abstractmethod
    def ready(self) -> None:
        """Wait until it takes turns."""

    @abstractmethod
    def ask(self, sessions: Sequence[str], question: str) -> None:
        """Enqueue one turn for each session."""

    @abstractmethod
    def usage(self) -> Usage:
        """CPU and memory of the worker's processes."""

    @abstractmethod
    def stop(self) -> None:
        """End it and forget its data."""

    def discard(self) -> None:
        """Forget what waits: a fresh worker, since the old one may hold more than it works on."""
        self.stop()
        wait_until(lambda: self.bench.open() == 0, "the model has nothing to do", 90)
        self.start()
        self.ready()

    def fill(self, turns: int, messages: int = MESSAGES) -> list[str]:
        """Sessions that have had a conversation of so many messages each; their names."""
        names = [f"s{number}" for number in range(self.asked, self.asked + turns)]
        self.asked += turns
        self.client.rpush("template", *[encode(message) for message in reversed(window(messages))])
        for start in range(0, turns, _BATCH):
            pipe = self.client.pipeline(transaction=False)
            for name in names[start : start + _BATCH]:
                pipe.copy("template", f"message_store:{name}")
            pipe.execute()
        self.client.delete("template")
        return names


class Turnstile(Contestant):
    """Workers as shipped: events for Flower on, log level INFO, leases, sweeps."""

    name = "Turnstile"

    def __init__(self, bench: Bench, in_flight: int, processes: int = 1, **env: str) -> None:
        super().__init__(bench, in_flight)
        self.settings = Settings(redis_url=self.url)
        self.store = TurnStore(self.settings)
        self._env = env
        self._count = processes
        self.processes: list[Process] = []

    def start(self) -> None:
        env = {"REDIS_URL": self.url, **self._env}
        for number in range(self._count):
            options = ["-n", f"w{self.database}-{number}@%h", "-c", str(self.in_flight), "--loglevel=INFO"]
            command = [PYTHON, "-m", "celery", "-A", "turnstile", "worker", *options]
            self.processes.append(self.bench.process("turnstile", command, env))

    def ready(self) -> None:
        for process in self.processes:
            process.wait_for(" ready.")

    def ask(self, sessions: Sequence[str], question: str, options: Options | None = None) -> None:
        for session in sessions:
            self.store.submit(str(uuid4()), session, question, options or Options(stream=False))

    def wait_answered(self, turns: int) -> None:
        """Wait until the model has given so many answers in all, and they are stored."""
        wait_until(lambda: self.bench.answered() >= turns, f"{turns} turns are answered", 120)
        time.sleep(0.5)

    def usage(self) -> Usage:
        parts = [process.usage() for process in self.processes]
        return Usage(sum(part.cpu for part in parts), sum(part.memory for part in parts))

    def stop(self) -> None:
        for process in self.processes:
            process.stop()
        self.processes.clear()
        self.store.client.flushdb()


class Rival(Contestant):
    """The seed's chain behind another queue."""

    queue = "celery"
    python = RIVALS
    banner = " ready."
    env: Mapping[str, str] = MappingProxyType({})
    _worker: Process | None = None
    _producer: Process

    def start(self) -> None:
        self._worker = self.bench.process(self.name, self.command(), self._environment())
        self.start_producer()

    def _environment(self) -> dict[str, str]:
        return {"BENCH_REDIS_URL": self.url, "BENCH_IN_FLIGHT": str(self.in_flight), **self.env}

    def start_producer(self) -> None:
        """Start what enqueues."""
        command = [self.python, "-m", "bench.rivals.enqueue", self.queue]
        self._producer = self.bench.process("producer", command, self._environment(), orders=True)

    def producer_cpu(self) -> float:
        """CPU seconds of what enqueues."""
        return self._producer.usage().cpu

    def command(self) -> list[str]:
        """Return the worker's command line."""
        raise NotImplementedError

    def ready(self) -> None:
        assert self._worker
        self._worker.wait_for(self.banner)

    def ask(self, sessions: Sequence[str], question: str) -> None:
        self.enqueue_seconds(sessions, question)

    def enqueue_seconds(self, sessions: Sequence[str], question: str) -> float:
        """Ask as `ask` does, and return the seconds that enqueueing took."""
        self._producer.tell({"sessions": list(sessions), "question": question})
        return float(self._producer.read())

    def usage(self) -> Usage:
        assert self._worker
        return self._worker.usage()

    def stop(self) -> None:
        for process in (self._worker, self._producer):
            if process:
                process.stop()
        self.client.flushdb()


def _celery(pool: str, in_flight: int, *options: str) -> list[str]:
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", *options]
    return [RIVALS, "-m", "celery", "-A", "bench.rivals.celery_seed", "worker", "-P", pool, "-c", str(in_flight), *quiet]


class Defaults(Rival):
    """Celery as it comes: prefork, a process for each core."""

    name = "seed, Celery's defaults"
    env = MappingProxyType({"BENCH_DEFAULTS": "1"})

    def command(self) -> list[str]:
        return [RIVALS, "-m", "celery", "-A", "bench.rivals.celery_seed", "worker", "-l", "INFO"]


class Prefork(Rival):
    """A process for each turn in flight."""

    name = "seed, Celery prefork"

    def command(self) -> list[str]:
        return _celery("prefork", self.in_flight, "-l", "INFO", "-O", "fair")


class Threads(Rival):
    """A thread for each turn in flight."""

    name = "seed, Celery threads"

    def command(self) -> list[str]:
        return _celery("threads", self.in_flight, "-l", "INFO")


class Gevent(Rival):
    """A greenlet for each turn in flight."""

    name = "seed, Celery gevent"

    def command(self) -> list[str]:
        return _celery("gevent", self.in_flight, "-l", "INFO")


class Arq(Rival):
    """One asyncio loop, jobs in a sorted set."""

    name = "seed, arq"
    queue = "arq"
    python = ARQ
    banner = "Starting worker"

    def command(self) -> list[str]:
        return [ARQ, "-m", "bench.rivals.arq_seed"]

    def ready(self) -> None:
        wait_until(lambda: self.client.client_list() and self._connected(), "arq is connected", 60)

    def _connected(self) -> bool:
        return any(
            int(client["db"]) == self.database and client["cmd"] == "zrangebyscore" for client in self.client.client_list()
        )


class Taskiq(Rival):
    """One asyncio loop, jobs in a list."""

    name = "seed, taskiq"
    queue = "taskiq"
    banner = "Listening started"

    def command(self) -> list[str]:
        most = str(self.in_flight)
        options = [
            "--workers",
            "1",
            "--max-async-tasks",
            most,
            "--log-level",
            "INFO",
            "--no-parse",
            "--ack-type",
            "when_received",
        ]
        return [RIVALS, "-m", "taskiq", "worker", "bench.rivals.taskiq_seed:broker", *options]


class Bare(Contestant):
    """The seed's chain on a bare asyncio loop: no queue, no Redis."""

    name = "bare asyncio, the seed's chain"
    kind = "stock"
    python = RIVALS

    def start(self) -> None:
        env = {"BENCH_REDIS_URL": self.url, "BENCH_IN_FLIGHT": str(self.in_flight)}
        command = [self.python, "-m", "bench.rivals.bare", self.kind]
        self._process = self.bench.process(self.name, command, env, orders=True)

    def ready(self) -> None:
        assert self._process.read() == "ready"

    def fill(self, turns: int, messages: int = MESSAGES) -> list[str]:  # noqa: ARG002 - it has them in memory
        return ["bare"] * turns

    def ask(self, sessions: Sequence[str], question: str) -> None:
        self._process.tell({"turns": len(sessions), "in_flight": self.in_flight, "question": question})

    def usage(self) -> Usage:
        return self._process.usage()

    def stop(self) -> None:
        self._process.stop()


class BareOwn(Bare):
    """Turnstile's default chain on a bare asyncio loop."""

    name = "bare asyncio, Turnstile's chain"
    kind = "own"
    python = PYTHON


RIVAL_POOLS: tuple[type[Rival], ...] = (Threads, Gevent, Arq, Taskiq)
