"""A small process beside a worker, which ends it when no thread can: code that holds the interpreter's lock stops them all.

A signal's number is written to a socket in C, without that lock, and a thread of the worker takes it from there. The guardian
looks without taking: a number that stays there means that the thread stands still. When the worker is gone, so is the socket's
other end, and the guardian ends. It is run by its path, without site packages, to stay small.
"""

import os
import select
import signal
import socket
import sys
import time

LOOK_SECONDS = 0.5
_ENDS = frozenset((signal.SIGTERM, signal.SIGINT, signal.SIGQUIT))


def main(descriptor: str, worker: str, seconds: str) -> None:
    """Kill the worker once a signal to end has been waiting for so many seconds; return when the worker has ended."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    hearing, since = socket.socket(fileno=int(descriptor)), 0.0
    while True:
        select.select([hearing], [], [], LOOK_SECONDS if since else None)
        try:
            waiting = hearing.recv(64, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:  # taken
            since = 0.0
            continue
        if not waiting or os.getppid() != int(worker):
            return
        since = (since or time.monotonic()) if _ENDS.intersection(waiting) else 0.0
        if since and time.monotonic() - since > float(seconds):
            os.kill(int(worker), signal.SIGKILL)
            return
        time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    main(*sys.argv[1:])
