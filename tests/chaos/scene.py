"""Everything that runs in a storm: the server, the processes, and what was done to them."""

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.chaos import tenants
from tests.chaos.callers import CELERY, READER
from tests.chaos.faults import Fault, Kind
from tests.chaos.proxy import FaultProxy, ProxyThread
from tests.chaos.record import CRON, LATER, WEB, Record
from tests.chaos.rights import Role, url, write_users
from tests.chaos.slots import FlowerSlot, GatewaySlot, HasProcess, ProducerSlot, WorkerSlot
from tests.support.wait import wait_until
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore

LEASE_SECONDS = Settings().lease_seconds
# Faults come a hundred times as often as in life: a turn must not be given up for meeting many.
SETTINGS = {"TURNSTILE_MAX_ATTEMPTS": "100", "TURNSTILE_MODEL_TIMEOUT": "3", "TURNSTILE_LOG_LEVEL": "WARNING"}
_SHARED = 6
_IMPATIENT = 2
# Each rule asks for several turns.
_RARE = 16
# So few that turns wait, and slots go round among tenants.
_SLOTS = 8


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a run."""

    faults: int = 200
    seconds: float = 130.0
    workers: int = 5
    producers: int = 3
    sessions: int = 12
    pause: float = 0.25
    fsync: str = "always"
    only: tuple[Kind, ...] = ()


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault that was done: from when to when (ms since the epoch), to which process, and to which turn's dispatch."""

    kind: str
    began: int
    ended: int
    pid: int = 0
    turn: str = ""


class Scene:
    """A server, the processes around it, and a list of what was done to them."""

    def __init__(self, folder: Path, model_url: str, seed: int, size: Size, proxies: ProxyThread) -> None:
        self.folder, self.seed, self.size, self._proxies = folder, seed, size, proxies
        budgets = json.dumps({"*": {"concurrent": tenants.CALLS}})
        self.settings = {**SETTINGS, "OPENAI_BASE_URL": model_url, "TURNSTILE_MODEL_BUDGETS": budgets}
        users = write_users(folder / "users.acl")
        # Rewritten, the log would tell no more what happened.
        options = {"auto-aof-rewrite-percentage": "0", "aclfile": str(users)}
        self.server = EmbeddedServer(folder / "server", append_fsync=size.fsync, options=options)
        self.struck: list[Struck] = []
        self.stolen: list[bytes] = []
        self.shared = [f"shared-{n}" for n in range(_SHARED)]
        self.notes = Record(folder / "storm.jsonl")
        # The others must be able to take over, or there is no recovery to measure.
        self.absences = threading.BoundedSemaphore(max(1, size.workers // 2))
        self.server_lock, self.rights_lock, self.guests_lock = threading.Lock(), threading.Lock(), threading.Lock()

    def populate(self) -> None:
        """Make the places of all processes, once the server runs."""
        self.client = redis.Redis.from_url(self.server.url, socket_timeout=10, retry=Retry(NoBackoff(), 0))
        self.store = TurnStore(Settings(redis_url=self.server.url))
        self.slots = [WorkerSlot(self.proxy(), self.folder, _SLOTS, self.settings) for _ in range(self.size.workers)]
        self.gateway = GatewaySlot(self.proxy(), self.folder, self.settings)
        self.flower = FlowerSlot(self.proxy(), self.folder)
        busy = [f"{tenants.POLICIES}-{n}" for n in range(_IMPATIENT)]
        # They end in this order: those that wait for nothing are not to go on while others read their turns to the end.
        names = (CRON, LATER, *(f"p{n}" for n in range(self.size.producers)), *busy, CELERY, READER, WEB)
        self.producers = [self._producer(name) for name in names]

    def _producer(self, name: str) -> ProducerSlot:
        # What breaks the connections of the gateway's clients is beyond us; its own are theirs too.
        proxy = self.gateway.proxy if name == WEB else self.proxy()
        address = self.gateway.url if name == WEB else url(Role.PLAIN if name == CELERY else Role.PRODUCER, proxy.port)
        # Each producer is a tenant, but for the gateway's: without keys it has the one that has no name.
        own = [f"{name}-s{n}" if name == WEB else f"{name}/s{n}" for n in range(self.size.sessions)]
        sessions = own if name == CELERY else own + self.shared
        if name.startswith(tenants.POLICIES):
            sessions = self._busy_sessions
        elif name == LATER:
            sessions += self._busy_sessions
        slow = 2 if name in (READER, WEB, LATER) or name.startswith(tenants.POLICIES) else 1
        pause = self.size.pause * (_RARE if name == CRON else slow)
        return ProducerSlot(proxy, self.folder, name, address, self.seed, pause, sessions)

    @property
    def _busy_sessions(self) -> list[str]:
        return [f"{tenants.POLICIES}/s{n}" for n in range(self.size.sessions // 2)]

    def proxy(self) -> FaultProxy:
        """Return a new proxy in front of the server."""
        return self._proxies.open(self.server.port)

    @property
    def placed(self) -> list[HasProcess]:
        """Every process behind a proxy."""
        return [*self.slots, *self.producers, self.gateway, self.flower]

    @property
    def pids(self) -> set[int]:
        """Every worker's process, of now and before."""
        return {pid for slot in self.slots for pid in slot.pids}

    @property
    def records(self) -> list[Path]:
        """The files of what was submitted, those of others' turns last."""
        return [*(producer.record for producer in self.producers), self.folder / "storm.jsonl"]

    @contextmanager
    def noted(self, kind: Kind, pid: int = 0, turn: str = "") -> Iterator[None]:
        """Note the block as a fault, from its beginning to its end."""
        began = _now()
        yield
        self.struck.append(Struck(kind, began, _now(), pid, turn))

    @contextmanager
    def free_slot(self, fault: Fault) -> Iterator[WorkerSlot]:
        """Yield a worker that nobody is breaking, for as long as the block lasts."""

        def take() -> WorkerSlot | None:
            order = random.Random(fault.target).sample(self.slots, len(self.slots))
            return next((slot for slot in order if slot.busy.acquire(blocking=False)), None)

        slot = wait_until(take, "a worker is not being broken already")
        assert slot
        try:
            yield slot
        finally:
            slot.busy.release()

    def slot(self, fault: Fault) -> WorkerSlot:
        """Return a worker, whoever else is breaking it."""
        return self.slots[fault.target % len(self.slots)]

    def producer(self, fault: Fault) -> ProducerSlot:
        """Return a producer, whoever else is breaking it."""
        return self.producers[fault.target % len(self.producers)]


def _now() -> int:
    return int(time.time() * 1000)
