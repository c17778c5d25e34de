"""A producer as a process: `python -m tests.chaos.producer URL RECORD NAME SEED PAUSE SESSION…`, until SIGTERM.

SIGUSR1 dooms it: it kills itself before, during or after its next submission.

It submits one turn after the other, to a session drawn each time, and notes before and after each what it knows. A turn
whose fate is unknown is submitted again under its id, also by the process that comes after one that was killed; now and
then such a turn is given up instead, and may then have been accepted or not.
"""

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from tests.chaos.record import Entry, Record, question, read
from turns.errors import QueueMemoryFull, QueueUnreachable
from turns.settings import Settings
from turns.store import TurnStore
from turns.wire import TASK

Submit = Callable[[str, str], None]

CELERY = "celery"
_ABANDONED_SHARE = 0.2
_PAUSE_SECONDS = 0.2
# A submission takes one to a few milliseconds.
_DOOM_SECONDS = 0.01


class Producer:
    """Submits turns in one thread, `pause` seconds apart on average."""

    def __init__(self, submit: Submit, path: Path, name: str, seed: str, pause: float, sessions: list[str]) -> None:
        before = read([path])
        self._submit = submit
        self._record = Record(path)
        self._number = len(before)
        self._name, self._pause, self._sessions = name, pause, sessions
        self._random = random.Random(f"{seed} {name} {self._number}")
        self._ended = self._doomed = False
        self._unknown = [entry for entry in before.values() if entry.accepted is None and not entry.abandoned]

    def end(self, number: int, frame: FrameType | None) -> None:
        """Submit no more turns; the one at hand is brought to its acceptance."""
        self._ended = True

    def doom(self, number: int, frame: FrameType | None) -> None:
        """Die around the next submission."""
        self._doomed = True

    def run(self) -> None:
        """Take up what the process before left, then go on."""
        for entry in self._unknown:
            self._take_up(entry)
        while not self._ended:
            self._number += 1
            self._bring(f"{self._name}-{self._number}", self._random.choice(self._sessions))
            time.sleep(min(self._random.expovariate(1 / self._pause), 10 * self._pause))

    def _take_up(self, entry: Entry) -> None:
        if self._random.random() < _ABANDONED_SHARE:
            self._record.note("abandoned", entry.turn, entry.session, time.time())
        else:
            self._bring(entry.turn, entry.session)

    def _bring(self, turn: str, session: str) -> None:
        self._record.note("sent", turn, session, time.time())
        if self._doomed:
            threading.Timer(self._random.uniform(0, _DOOM_SECONDS), os.kill, (os.getpid(), signal.SIGKILL)).start()
            time.sleep(self._random.uniform(0, _DOOM_SECONDS / 2))
        while not self._accepted(turn, session):
            time.sleep(_PAUSE_SECONDS)
        if self._doomed:
            time.sleep(_DOOM_SECONDS)
        self._record.note("accepted", turn, session, time.time())

    def _accepted(self, turn: str, session: str) -> bool:
        with suppress(QueueUnreachable, OperationalError, RedisError):
            try:
                self._submit(turn, session)
            except QueueMemoryFull:
                self._record.note("refused", turn, session, time.time())
            else:
                return True
        return False


def by_store(url: str) -> Submit:
    """Submits as our own clients do."""
    store = TurnStore(Settings(redis_url=url))

    def submit(turn: str, session: str) -> None:
        store.submit(turn, session, question(turn))

    return submit


def by_celery(url: str) -> Submit:
    """Sends tasks as a plain Celery app does that knows nothing of us."""
    timeouts = {"socket_timeout": 5, "socket_connect_timeout": 5, "socket_keepalive": True}
    app = Celery("plain", broker=url)
    app.conf.update(broker_transport_options=timeouts, task_ignore_result=True)

    def submit(turn: str, session: str) -> None:
        app.send_task(TASK, args=[session, question(turn)], task_id=turn, retry=False)

    return submit


def main(url: str, path: str, name: str, seed: str, pause: str, *sessions: str) -> None:
    """Run until SIGTERM."""
    submit = by_celery(url) if name.startswith(CELERY) else by_store(url)
    producer = Producer(submit, Path(path), name, seed, float(pause), list(sessions))
    signal.signal(signal.SIGTERM, producer.end)
    signal.signal(signal.SIGUSR1, producer.doom)
    producer.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
