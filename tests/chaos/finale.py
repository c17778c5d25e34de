"""A last look when the faults are over: at every process, whether it works, and at its log."""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import redis

from tests.chaos.odd import SECRET
from tests.chaos.record import question
from tests.chaos.scene import Scene
from tests.chaos.slots import WorkerSlot
from turnstile.turns.errors import TurnstileError

# How long anybody may take to find out that a connection is dead, on a machine whose cores are busy.
PATIENCE_SECONDS = 90.0
_HEALTH_SECONDS = 20.0
_POLL_SECONDS = 0.1
_PROBE_SECONDS = 5.0
_FLOOD_LINES, _FLOOD_SECONDS = 40, 3
_LINE = re.compile(r"^\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+: (WARNING|ERROR|CRITICAL)/")


class Finale:
    """A last look at a scene while its producers still submit."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._probes = 0

    def processes(self) -> list[str]:
        """Name each process that does not do its work."""
        return [*self._idle_workers(), *self._unhealthy_workers(), *self._others()]

    def _idle_workers(self) -> Iterator[str]:
        for slot in self._scene.slots:
            if slot.code is not None:
                yield f"worker {slot.pid} has ended by itself with code {slot.code}"
                slot.start()
        idle = {slot.pid for slot in self._scene.slots}
        deadline = time.monotonic() + PATIENCE_SECONDS
        while idle and time.monotonic() < deadline:
            idle -= self._owners()
            time.sleep(_POLL_SECONDS)
        yield from (f"worker {pid} takes no turns" for pid in sorted(idle))

    def _owners(self) -> set[int]:
        """Return the processes that hold a turn at this moment."""
        with suppress(redis.RedisError):
            found = self._scene.client.scan_iter(match=self._scene.store.keys.owned("*"), count=1_000)
            return {int(name.decode().split("-")[-2]) for name in found}
        return set()

    def _unhealthy_workers(self) -> Iterator[str]:
        for slot in self._scene.slots:
            if not _comes_true(lambda slot=slot: _is_healthy(slot)):  # type: ignore[misc]  # a lambda's default
                yield f"the health file of worker {slot.pid} is {slot.health_age:.0f} seconds old"

    def _others(self) -> Iterator[str]:
        if not _comes_true(self._scene.gateway.is_ready):
            yield "the gateway is not ready"
        if not _comes_true(self._flower_sees_a_turn):
            yield "Flower shows no new turn"

    def _flower_sees_a_turn(self) -> bool:
        self._probes += 1
        turn = f"probe-{self._scene.seed}-{self._probes}"
        with suppress(TurnstileError):
            now = time.time()
            self._scene.store.submit(turn, turn, question(turn))
            self._scene.notes.note("sent", turn, turn, now)
            self._scene.notes.note("accepted", turn, turn, time.time())
        return _comes_true(lambda: self._scene.flower.state(turn) == "SUCCESS", _PROBE_SECONDS)

    def logs(self) -> list[str]:
        """Name each log that shows what it must not."""
        files = [path for kind in ("worker-*.log", "gateway-*.log", "flower.log") for path in self._scene.folder.glob(kind)]
        return [fault for path in sorted(files) for fault in log_faults(path)]


def log_faults(path: Path) -> list[str]:
    """Find floods in a log, and questions."""
    lines = path.read_text(errors="replace").splitlines()
    faults = [f"{path.name} tells what was said: {_start(line)}" for line in lines if SECRET in line or "What of " in line]
    return faults[:1] + flood(path.name, lines)


def flood(name: str, lines: Iterable[str]) -> list[str]:
    """Name the worst moment of a log that says more than anybody can read."""
    warnings = [(found[1], line) for line in lines if (found := _LINE.match(line))]
    seconds = Counter(round(datetime.fromisoformat(second).timestamp()) // _FLOOD_SECONDS for second, _ in warnings)
    worst, count = max(seconds.items(), key=lambda item: item[1], default=(0, 0))
    if count <= _FLOOD_LINES:
        return []
    example = next(line for second, line in warnings if datetime.fromisoformat(second).timestamp() // _FLOOD_SECONDS == worst)
    return [f"{name} has {count} warnings in {_FLOOD_SECONDS} seconds: {_start(example)}"]


def _start(line: str) -> str:
    return line[:160]


def _is_healthy(slot: WorkerSlot) -> bool:
    return slot.health_age < _HEALTH_SECONDS


def _comes_true(what: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> bool:
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True
