"""One run: a real server with its log, real processes, and the faults of a seed, one after another and at once."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from kombu import pools

from tests.chaos import scheduled
from tests.chaos.faults import Fault, Kind, plan
from tests.chaos.finale import Finale
from tests.chaos.hits import HITS
from tests.chaos.proxy import ProxyThread
from tests.chaos.scene import Scene, Size
from tests.support.wait import wait_until

_QUIET_SECONDS = 60.0
_POLL_SECONDS = 0.2
_THREADS = 24
_READY_SECONDS = 90.0


class Stage:
    """A scene from its beginning to its end."""

    def __init__(self, folder: Path, model_url: str, seed: int, size: Size) -> None:
        self._things = ExitStack()
        self._proxies = ProxyThread()
        self.scene = Scene(folder, model_url, seed, size, self._proxies)
        self.wrong: list[str] = []
        """Failures at the end, in words."""

    def __enter__(self) -> Self:
        with ExitStack() as things:
            things.enter_context(self.scene.server)
            things.enter_context(self._proxies)
            self.scene.populate()
            things.callback(pools.reset)
            things.callback(self.scene.client.close)
            things.callback(self._end)
            self._start()
            self._things = things.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._things.close()

    def _start(self) -> None:
        scene = self.scene
        for slot in scene.slots:
            slot.start()
        scene.flower.start()
        scene.gateway.start()
        for slot in scene.slots:
            slot.wait_until_at_work(scene.client)
        for producer in scene.producers:
            producer.start()
        wait_until(lambda: all(producer.begins() for producer in scene.producers), "all producers submit", _READY_SECONDS)
        wait_until(scene.flower.is_up, "Flower answers", _READY_SECONDS)

    def _end(self) -> None:
        for producer in self.scene.producers:
            producer.kill()
        self.scene.flower.kill()
        self.scene.gateway.kill()
        for slot in self.scene.slots:
            slot.stop()

    def run(self, faults: list[Fault]) -> None:
        """Do all faults, then let everything come to rest, and look whether everybody is at work still."""
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

    def _strike(self, fault: Fault) -> None:
        try:
            HITS[fault.kind](self.scene, fault)
        except AssertionError as error:
            self.wrong.append(f"{fault.kind.name}: {error}")

    def _rest(self) -> None:
        scene = self.scene
        for placed in scene.placed:
            placed.proxy.heal()
        finale = Finale(scene)
        # Before the producers end: what waits for a worker that has stopped would hold them up.
        self.wrong += finale.processes()
        progress = _Progress(lambda: scene.store.stats().get("completed", 0))
        for producer in scene.producers:
            self.wrong += producer.end(progress.goes_on)
        self._wait_for_quiet(progress)
        scheduled.remove_rules(scene.store, scene.notes)
        self._wait_for_quiet(progress)
        self.wrong += finale.logs()

    def _wait_for_quiet(self, progress: "_Progress") -> None:
        while not self._is_quiet() and progress.goes_on():
            scheduled.hurry(self.scene.store)
            time.sleep(_POLL_SECONDS)

    def _is_quiet(self) -> bool:
        scene = self.scene
        if any(scene.client.llen(queue) for queue in ("chat", "batch")) or scene.store.stats().get("open", 0):
            return False
        return not (self._plain_turns() or scheduled.is_overdue(scene.store))

    def _plain_turns(self) -> bool:
        """Return whether a turn of the plain Celery app waits for the intake; strange messages may stay."""
        waiting = self.scene.client.lrange("celery", 0, -1)
        return any(b'"celery-' in message for message in waiting)


class _Progress:
    """A watch over a count: a long mailbox takes its time, and only what moves no more is stuck."""

    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count
        self._last, self._moved = -1, time.monotonic()

    def goes_on(self) -> bool:
        """Return whether the count has changed lately."""
        count = self._count()
        if count != self._last:
            self._last, self._moved = count, time.monotonic()
        return time.monotonic() - self._moved < _QUIET_SECONDS


def faults_of(seed: int, size: Size) -> list[Fault]:
    """Return the faults of a run of this size."""
    return plan(seed, size.faults, size.seconds, size.only)
