"""A deployment under load: a server with its log, a model, producers that ask all the time, and what became of their turns."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.chaos import journal, record
from tests.chaos.checker import Remains, check, collect
from tests.chaos.findings import Findings
from tests.chaos.scene import LEASE_SECONDS
from tests.support.gateways import Gateway
from tests.support.processes import Process, Worker, environment, offline_model
from tests.support.wait import wait_until
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.turns.errors import UnknownTurn
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.turn import Record

CONCURRENCY = 8
_SESSIONS = 5
_PAUSE = "0.25"


@dataclass(slots=True)
class Outcome:
    """The end of a scenario: broken promises, and for each phase the delays of the turns that were accepted in it.

    A turn's delay is the time from its acceptance, or the end of the turn before it in its session, to its own end, without
    the time that the model was told to take. In seconds.
    """

    turns: int
    findings: Findings
    delays: dict[str, list[float]] = field(default_factory=dict)


class Deployment:
    """Everything that runs; `phase` names what happens from a moment on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Rewritten, the log would tell no more what happened.
        self.server = EmbeddedServer(folder / "server", options={"auto-aof-rewrite-percentage": "0"})
        self._producers: dict[str, Process] = {}
        self._phases: list[tuple[float, str]] = []
        self._things = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as things:
            things.enter_context(self.server)
            self.env = {"OPENAI_BASE_URL": things.enter_context(offline_model()), "TURNSTILE_SHUTDOWN_SECONDS": "2"}
            self.store = TurnStore(Settings(redis_url=self.server.url))
            things.callback(self._end_all)
            self._things = things.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._things.close()

    @contextmanager
    def running(self, *processes: Process) -> Iterator[None]:
        """Start processes, all at once, and end those that still run after the block."""
        with ExitStack() as things:
            self.start(*processes)
            for process in processes:
                things.callback(process.stop)
            yield

    def start(self, *processes: Process) -> None:
        """Start processes, all at once, and wait until they are ready."""
        checks = [process.readiness() for process in processes]
        for process in processes:
            process.start(ready=False)
        for process, is_ready in zip(processes, checks, strict=True):
            wait_until(is_ready, f"{process.log.stem} is ready")

    def workers(self, count: int) -> list[Worker]:
        """Return workers of this version, to be started."""
        return [Worker(self.server.url, self.folder, CONCURRENCY, **self.env) for _ in range(count)]

    def gateways(self, count: int) -> list[Gateway]:
        """Return gateways, to be started."""
        return [Gateway(self.server.url, self.folder, **self.env) for _ in range(count)]

    def produce(
        self, name: str, sessions_of: str = "", address: str = "", env: Mapping[str, str] | None = None, tenant: bool = True
    ) -> None:
        """Start a producer; `sessions_of` another are its sessions, too."""
        home = sessions_of or name
        sessions = [f"{home}{'/' if tenant else '-'}s{number}" for number in range(_SESSIONS)]
        words = [address or self.server.url, str(self._record(name)), name, _PAUSE, *sessions]
        command = [sys.executable, "-m", "tests.rolling.producer", *words]
        self._producers[name] = Process(self.folder / f"{name}.log", command, dict(env or environment({})))
        self._producers[name].start()

    def end_producer(self, name: str) -> None:
        """Let a producer submit no more, and follow its turns to their ends."""
        producer = self._producers.pop(name)
        assert producer.stop() == 0, producer.text()

    def phase(self, name: str) -> None:
        """Name what happens from now on."""
        self._phases.append((time.time(), name))

    def goes_on(self, count: int = 25) -> None:
        """Wait until so many more turns have been answered."""
        before = self._answered()
        wait_until(lambda: self._answered() >= before + count, f"{count} more turns are answered")

    def accepts(self, count: int) -> None:
        """Wait until so many more turns have been accepted."""
        before = self._accepted()
        wait_until(lambda: self._accepted() >= before + count, f"{count} more turns are accepted")

    def waiting(self) -> int:
        """Return how many turns have not ended."""
        return self.store.stats().get("open", 0)

    def judge(self) -> Outcome:
        """End the producers, wait until every turn has ended, and judge the turns, their histories and the server's log."""
        for name in list(self._producers):
            self.end_producer(name)
        entries = record.read(sorted(self.folder.glob("*.jsonl")))
        accepted = [entry.turn for entry in entries.values() if entry.accepted]
        wait_until(lambda: all(self._has_ended(turn) for turn in accepted), "every accepted turn has ended")
        # Older workers leave the turns that they end in the set of open ones; the next audit mends that, and comes at once.
        self.store.client.delete(self.store.keys.audit)
        wait_until(lambda: not self.waiting(), "no turn counts as open")
        remains = collect(self.store, entries.values())
        log = journal.read(self.server.folder, LEASE_SECONDS)
        return Outcome(len(accepted), check(entries, remains, log.violations), self._delays(remains))

    def _has_ended(self, turn: str) -> bool:
        try:
            found = self.store.status(turn)
        except UnknownTurn:
            return True  # lost: the checker tells
        return found.state.ended and found.settled

    def _delays(self, remains: Remains) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {name: [] for _, name in self._phases}
        for turns in remains.histories.values():
            end = 0.0
            for known in _ended(turns, remains.records):
                assert known.finished
                name = [name for began, name in self._phases if began <= known.created][-1:]
                delay = known.finished - max(known.created, end) - record.model_seconds(known.id, known.answer or "")
                found[name[0] if name else self._phases[0][1]].append(max(0.0, delay))
                end = known.finished
        return found

    def _answered(self) -> int:
        return self.store.stats().get("completed", 0)

    def _accepted(self) -> int:
        return self.store.stats().get("accepted", 0)

    def _record(self, name: str) -> Path:
        return self.folder / f"{name}.jsonl"

    def _end_all(self) -> None:
        for producer in self._producers.values():
            if producer.process and producer.process.poll() is None:
                producer.kill()


def _ended(turns: Sequence[str], records: Mapping[str, Record]) -> list[Record]:
    return [records[turn] for turn in turns if turn in records and records[turn].finished]
