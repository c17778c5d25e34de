"""Start of a program that cannot outlive the process that starts it.

    python -I -S parent_death.py SIGNAL STARTER PROGRAM ARGUMENT...

asks Linux to send SIGNAL when STARTER ends, however it ends, and becomes PROGRAM under the same process id. Other
systems have no such request: there a starter killed with SIGKILL leaves its programs running, to be ended by hand.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress

_PR_SET_PDEATHSIG = 1


def die_with_parent(argv: list[str], end: signal.Signals = signal.SIGKILL) -> list[str]:
    """Return the command that runs `argv` until it ends or this process does.

    Linux watches the starting thread, not its process: start from a thread that lasts, or use `start_from_a_lasting_thread`.
    """
    return [sys.executable, "-I", "-S", __file__, str(int(end)), str(os.getpid()), *argv]


def start_from_a_lasting_thread(start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Call `start` in a thread that lasts as long as its program, and return what it returns or raises."""
    if sys.platform != "linux":
        return start()
    started: Future[subprocess.Popen[bytes]] = Future()
    threading.Thread(target=_start_and_last, args=(start, started), daemon=True, name="parent-death").start()
    return started.result()


def _start_and_last(start: Callable[[], subprocess.Popen[bytes]], started: Future[subprocess.Popen[bytes]]) -> None:
    try:
        process = start()
    except BaseException as error:  # the starter raises it
        started.set_exception(error)
        return
    started.set_result(process)
    # WNOWAIT: the starter, not this thread, reads the exit status.
    with suppress(ChildProcessError):
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


def main(argv: list[str]) -> None:
    """Ask for the signal, then become the program."""
    end, starter, program = int(argv[0]), int(argv[1]), argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, end, 0, 0, 0)
        if os.getppid() != starter:
            raise SystemExit("the starter has ended already")
    try:
        os.execvp(program[0], program)  # noqa: S606  # the starter's own command, and no shell in it
    except OSError as error:
        raise SystemExit(f"{program[0]}: {error.strerror}") from None


if __name__ == "__main__":
    main(sys.argv[1:])
