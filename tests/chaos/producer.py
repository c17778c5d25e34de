"""A producer as a process: `python -m tests.chaos.producer URL RECORD NAME SEED PAUSE SESSION…`, until SIGTERM.

SIGUSR1 dooms it: it kills itself before, during or after its next submission.

It submits one turn after the other, to a session drawn each time, and notes before and after each what it knows. A turn
whose fate is unknown is submitted again under its id, also by the process that comes after one that was killed; now and
then such a turn is given up instead, and may then have been accepted or not. Those who follow their turns do so in threads,
and note what was wrong with what they read.
"""

import os
import random
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import FrameType

from tests.chaos.callers import DECLINED, TRANSIENT, Caller, caller
from tests.chaos.record import Entry, Record, read
from tests.chaos.scheduled import named
from turnstile.turns.errors import QueueMemoryFull

_ABANDONED_SHARE = 0.2
_PAUSE_SECONDS = 0.2
# A submission takes one to a few milliseconds.
_DOOM_SECONDS = 0.01
_FOLLOWERS = 64


class Producer:
    """Submits turns in one thread, `pause` seconds apart on average."""

    def __init__(self, caller: Caller, path: Path, name: str, seed: str, pause: float, sessions: list[str]) -> None:
        before = read([path])
        self._caller = caller
        self._followers = ThreadPoolExecutor(_FOLLOWERS)
        self._record = Record(path)
        self._number = len(before)
        self._name, self._pause, self._sessions = name, pause, sessions
        self._random = random.Random(f"{seed} {name} {self._number}")
        self._ended = self._doomed = False
        self._unknown = [entry for entry in before.values() if entry.is_unknown]

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
            self._bring(named(f"{self._name}-{self._number}"), self._random.choice(self._sessions))
            time.sleep(min(self._random.expovariate(1 / self._pause), 10 * self._pause))
        self._followers.shutdown()

    def _take_up(self, entry: Entry) -> None:
        if self._random.random() < _ABANDONED_SHARE:
            self._record.note("abandoned", entry.name, entry.session, time.time())
        else:
            self._bring(entry.name, entry.session)

    def _bring(self, turn: str, session: str) -> None:
        self._record.note("sent", turn, session, time.time())
        if self._doomed:
            threading.Timer(self._random.uniform(0, _DOOM_SECONDS), os.kill, (os.getpid(), signal.SIGKILL)).start()
            time.sleep(self._random.uniform(0, _DOOM_SECONDS / 2))
        while not (answer := self._answer(turn, session)):
            time.sleep(_PAUSE_SECONDS)
        if self._doomed:
            time.sleep(_DOOM_SECONDS)
        self._record.note(answer, turn, session, time.time())
        if answer == "accepted":
            self._followers.submit(self._follow, turn, session)

    def _follow(self, turn: str, session: str) -> None:
        try:
            wrong = self._caller.follow(turn)
        except Exception as error:  # whatever it is, a reader has not got its stream
            wrong = f"a reader got {type(error).__name__}"
        if wrong:
            self._record.note("misread", turn, session, time.time(), wrong)

    def _answer(self, turn: str, session: str) -> str:
        """Return whether a turn was accepted or declined, as its record has it; empty while nobody knows."""
        with suppress(*TRANSIENT):
            try:
                self._caller.submit(turn, session)
            except QueueMemoryFull:
                self._record.note("refused", turn, session, time.time())
            except DECLINED:
                return "declined"
            else:
                return "accepted"
        return ""


def main(url: str, path: str, name: str, seed: str, pause: str, *sessions: str) -> None:
    """Run until SIGTERM."""
    producer = Producer(caller(name, url), Path(path), name, seed, float(pause), list(sessions))
    signal.signal(signal.SIGTERM, producer.end)
    signal.signal(signal.SIGUSR1, producer.doom)
    producer.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
