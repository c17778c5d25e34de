"""One run: a real server with its log, real workers and producers, and the faults of a seed, one after another and at once."""

import json
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from deploy.embedded import EmbeddedServer
from tests.chaos.crew import Post, ProducerPost
from tests.chaos.faults import Fault, Kind, plan
from tests.chaos.proxy import FaultProxy, ProxyThread
from tests.support import wait_until
from turns.settings import Settings
from turns.store import TurnStore

LEASE_SECONDS = Settings().lease_seconds
# Faults come a hundred times as often as in life: a turn must not be given up for meeting many.
SETTINGS = {"TURNSTILE_MAX_ATTEMPTS": "100", "TURNSTILE_MODEL_TIMEOUT": "3", "TURNSTILE_LOG_LEVEL": "WARNING"}
_QUIET_SECONDS = 60.0
_POLL_SECONDS = 0.2
_THIEF_SECONDS = 5
_THREADS = 24
_SHARED = 6


@dataclass(frozen=True, slots=True)
class Size:
    """How large a run is."""

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


class Stage:
    """Everything that runs; faults are done to it."""

    def __init__(self, folder: Path, model_url: str, seed: int, size: Size) -> None:
        self.folder, self.seed, self.size = folder, seed, size
        self._things = ExitStack()
        # Rewritten, the log would tell no more what happened.
        options = {"auto-aof-rewrite-percentage": "0"}
        self.server = EmbeddedServer(folder / "server", append_fsync=size.fsync, options=options)
        self._settings = {**SETTINGS, "OPENAI_BASE_URL": model_url}
        self.posts: list[Post] = []
        self.producers: list[ProducerPost] = []
        self.struck: list[Struck] = []
        self._old: list[bytes] = []
        # The others must be able to take over, or there is no recovery to measure.
        self._absences = threading.BoundedSemaphore(max(1, size.workers // 2))
        self._server_lock = threading.Lock()

    def __enter__(self) -> Self:
        with ExitStack() as things:
            things.enter_context(self.server)
            proxies = things.enter_context(ProxyThread())
            things.callback(self._end)
            self.client = redis.Redis.from_url(self.server.url, socket_timeout=10, retry=Retry(NoBackoff(), 0))
            self.store = TurnStore(Settings(redis_url=self.server.url))
            self._start(proxies)
            self._things = things.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._things.close()

    def _start(self, proxies: ProxyThread) -> None:
        port, size = self.server.port, self.size
        for _ in range(size.workers):
            self.posts.append(Post(proxies.open(port), self.folder, 20, self._settings))
            self.posts[-1].start()
        shared = [f"shared-{n}" for n in range(_SHARED)]
        for name in (*(f"p{n}" for n in range(size.producers)), "celery"):
            own = [f"{name}-s{n}" for n in range(size.sessions)]
            sessions = own if name == "celery" else own + shared
            proxy = proxies.open(port)
            self.producers.append(ProducerPost(proxy, self.folder, name, self.seed, size.pause, sessions))
        for post in self.posts:
            post.wait_until_at_work(self.client)
        for producer in self.producers:
            producer.start()
        wait_until(lambda: all(producer.begins() for producer in self.producers), "all producers submit")

    def _end(self) -> None:
        for producer in self.producers:
            producer.kill()
        for post in self.posts:
            post.stop()

    def run(self, faults: list[Fault]) -> None:
        """Do all faults, then let everything come to rest."""
        start = time.monotonic()
        pending: list[Future[None]] = []
        with ThreadPoolExecutor(_THREADS) as threads:
            for fault in faults:
                time.sleep(max(0.0, start + fault.at - time.monotonic()))
                if fault.kind is Kind.KILL_ALL:
                    wait(pending)
                    self._strike(fault)
                else:
                    pending.append(threads.submit(self._strike, fault))
        for done in pending:
            done.result()
        self._rest()

    def _rest(self) -> None:
        for post in self.posts:
            post.proxy.heal()
            post.wait_until_at_work(self.client)
        for producer in self.producers:
            producer.proxy.heal()
        for producer in self.producers:
            producer.end()
        done, moved = -1, time.monotonic()
        # A long mailbox takes its time; only what moves no more is stuck, and the checker tells of it.
        while not self._is_quiet() and time.monotonic() - moved < _QUIET_SECONDS:
            completed = self.store.stats().get("completed", 0)
            done, moved = completed, moved if completed == done else time.monotonic()
            time.sleep(_POLL_SECONDS)

    def _is_quiet(self) -> bool:
        waiting = [self.client.llen(queue) for queue in ("celery", "chat", "batch")]
        return not any(waiting) and self.store.stats().get("open", 0) == 0

    def _strike(self, fault: Fault) -> None:
        getattr(self, f"_{fault.kind.name.lower()}")(fault)

    @contextmanager
    def _noted(self, kind: Kind, pid: int = 0, turn: str = "") -> Iterator[None]:
        began = _now()
        yield
        self.struck.append(Struck(kind, began, _now(), pid, turn))

    def _any(self, fault: Fault) -> Post:
        return self.posts[fault.target % len(self.posts)]

    @contextmanager
    def _free_post(self, fault: Fault) -> Iterator[Post]:
        def take() -> Post | None:
            order = random.Random(fault.target).sample(self.posts, len(self.posts))
            return next((post for post in order if post.busy.acquire(blocking=False)), None)

        post = wait_until(take, "a worker is not being broken already")
        assert post
        try:
            yield post
        finally:
            post.busy.release()

    def _kill_worker(self, fault: Fault) -> None:
        with self._absences, self._free_post(fault) as post:
            with self._noted(fault.kind, post.pid):
                post.kill()
            post.start()
            post.wait_until_at_work(self.client)

    def _freeze_worker(self, fault: Fault) -> None:
        with self._absences, self._free_post(fault) as post, self._noted(fault.kind, post.pid):
            post.signal(signal.SIGSTOP)
            time.sleep(fault.seconds)
            post.signal(signal.SIGCONT)

    def _silence_worker(self, fault: Fault) -> None:
        with self._absences, self._free_post(fault) as post, self._noted(fault.kind, post.pid):
            post.proxy.go_silent()
            time.sleep(fault.seconds)
            post.proxy.heal()

    def _slow_worker(self, fault: Fault) -> None:
        with self._absences, self._free_post(fault) as post, self._noted(fault.kind, post.pid):
            post.proxy.slow_down(0.02 + fault.seconds / 20)
            time.sleep(fault.seconds)
            post.proxy.heal()

    def _cut_worker(self, fault: Fault) -> None:
        post = self._any(fault)
        with self._noted(fault.kind, post.pid):
            post.proxy.cut()

    def _deafen_worker(self, fault: Fault) -> None:
        with self._free_post(fault) as post, self._noted(fault.kind, post.pid):
            _deafen(post.proxy, fault.seconds)

    def _producer(self, fault: Fault) -> ProducerPost:
        return self.producers[fault.target % len(self.producers)]

    def _cut_producer(self, fault: Fault) -> None:
        with self._noted(fault.kind):
            self._producer(fault).proxy.cut()

    def _deafen_producer(self, fault: Fault) -> None:
        producer = self._producer(fault)
        with producer.busy, self._noted(fault.kind):
            _deafen(producer.proxy, fault.seconds)

    def _silence_producer(self, fault: Fault) -> None:
        producer = self._producer(fault)
        with producer.busy, self._noted(fault.kind):
            producer.proxy.go_silent()
            time.sleep(fault.seconds)
            producer.proxy.heal()

    def _kill_producer(self, fault: Fault) -> None:
        producer = self._producer(fault)
        with producer.busy:
            with self._noted(fault.kind):
                producer.doom()
            producer.start()

    def _steal(self) -> bytes | None:
        with suppress(redis.RedisError):
            taken: Any = self.client.brpop(["chat"], _THIEF_SECONDS)
            return bytes(taken[1]) if taken else None
        return None

    def _lose_dispatch(self, fault: Fault) -> None:
        message = self._steal()
        if message:
            self._old.append(message)
            with self._noted(fault.kind, turn=_turn(message)):
                pass

    def _double_dispatch(self, fault: Fault) -> None:
        message = self._steal()
        if message:
            with suppress(redis.RedisError), self._noted(fault.kind, turn=_turn(message)):
                self.client.rpush("chat", message, message)

    def _stale_dispatch(self, fault: Fault) -> None:
        if self._old:
            message = random.Random(fault.target).choice(self._old)
            with suppress(redis.RedisError), self._noted(fault.kind, turn=_turn(message)):
                self.client.lpush("chat", message)

    def _fill_memory(self, fault: Fault) -> None:
        with self._server_lock, self._noted(fault.kind):
            self.client.config_set("maxmemory", 1)
            time.sleep(fault.seconds)
            self.client.config_set("maxmemory", 0)

    def _kill_server(self, fault: Fault) -> None:
        with self._server_lock, self._noted(fault.kind, self.server.pid):
            self.server.kill()
            time.sleep(fault.seconds)
            self.server.start()

    def _kill_all(self, fault: Fault) -> None:
        with self._noted(fault.kind, self.server.pid):
            self.server.kill()
            processes: list[Post | ProducerPost] = [*self.posts, *self.producers]
            for process in processes:
                process.kill()
            self.server.start()
            for process in processes:
                process.start()
            for post in self.posts:
                post.wait_until_at_work(self.client)


def _deafen(proxy: FaultProxy, seconds: float) -> None:
    proxy.swallow_replies()
    time.sleep(seconds)
    proxy.heal()


def _turn(message: bytes) -> str:
    return str(json.loads(message)["headers"]["id"])


def _now() -> int:
    return round(time.time() * 1000)


def faults_of(seed: int, size: Size) -> list[Fault]:
    """The faults of a run of this size."""
    return plan(seed, size.faults, size.seconds, size.only)
