"""The end of a worker: a thread beside Celery hears its signals too, and ends the process in time whatever hangs."""

import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from time import monotonic
from typing import Any, Protocol

from turnstile.workers.process import guardian

log = logging.getLogger(__name__)

# The promise is 5 s after the grace.
_MARGIN_SECONDS = 3.5
# Above the margin: the thread, which returns turns first, is preferred.
_GUARDIAN_SECONDS = 4.5 - guardian.LOOK_SECONDS
_EX_FAILURE = 1
_WARM, _COLD = (signal.SIGTERM, signal.SIGINT), (signal.SIGQUIT,)


class Work(Protocol):
    """The work of a process that ends."""

    def drain(self) -> None:
        """Take nothing new; running turns get their grace."""

    def abandon(self) -> str:
        """Return turns to the queue without the parts that hang; describe those."""


class ShutdownDeadline:
    """A thread that ends the process at its deadline: `grace` after a first signal, at once after SIGQUIT.

    The interpreter's signal handlers run in the main thread, and only when that comes back from where it is; what they are
    about is written to a socket at once.
    """

    def __init__(self, work: Work, grace: float) -> None:
        self._work, self._grace = work, grace
        self._hearing, self._telling = socket.socketpair()
        self._deadline: float | None = None
        self._guardian: subprocess.Popen[Any] | None = None

    def start(self) -> None:
        """Start listening; call this in the main thread."""
        self._telling.setblocking(False)
        signal.set_wakeup_fd(self._telling.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._watch, name="ending", daemon=True).start()
        self._start_guardian()

    def _start_guardian(self) -> None:
        descriptor, null = self._hearing.fileno(), subprocess.DEVNULL
        arguments = (str(descriptor), str(os.getpid()), str(self._grace + _GUARDIAN_SECONDS))
        command = [sys.executable, "-I", "-S", guardian.__file__, *arguments]
        try:
            self._guardian = subprocess.Popen(  # noqa: S603 - our own interpreter and file
                command, pass_fds=[descriptor], stdin=null, stdout=null, stderr=null
            )
        except OSError as error:
            log.warning("the worker's guardian cannot be started: %s", error.strerror)

    def _watch(self) -> None:
        while self._deadline is None or monotonic() < self._deadline:
            # Waits without taking: recv would take the number before it waits for the interpreter's lock.
            left = None if self._deadline is None else max(0.01, self._deadline - monotonic())
            if not select.select([self._hearing], [], [], left)[0]:
                break
            self._hear(self._hearing.recv(1)[0])
        self._leave()

    def _hear(self, number: int) -> None:
        again = number == signal.SIGINT and self._deadline is not None
        if number not in (*_WARM, *_COLD):
            return
        if self._deadline is None:
            self._work.drain()
        grace = 0 if again or number in _COLD else self._grace
        deadline = monotonic() + grace + _MARGIN_SECONDS
        self._deadline = min(deadline, self._deadline or deadline)

    def _leave(self) -> None:
        log.error("the worker cannot end: %s; leaving", self._work.abandon() or "something hangs")
        sys.stderr.flush()
        os._exit(_EX_FAILURE)
