"""`turnstile up`: the local stack in the foreground, until Ctrl-C."""

import queue
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from turnstile.deploy.local.stack import LocalStack
from turnstile.deploy.local.supervisor import OURSELVES
from turnstile.turns.settings import Settings


def up(
    settings: Settings,
    workers: int = 2,
    flower: bool = True,
    web: bool = False,
    flower_port: int | None = None,
    web_port: int | None = None,
) -> int:
    """Run all until Ctrl-C or SIGTERM, which end it in order; a second one ends it at once.

    Returns the exit status: 1 when a process could not be kept running.

    Raises:
        PortTaken: a port that was asked for is in use.
        ServerNotStarted: the embedded server did not start, or another one has the data folder.
    """
    stack = LocalStack(settings, workers, flower, web, flower_port, web_port, log=sys.stderr)
    with _signals() as requests:
        stack.broken.add_done_callback(lambda _: requests.put(0))
        stack.start()
        try:
            _announce(stack)
            asked = requests.get()
        finally:
            _end(stack, requests)
    return 0 if asked else 1


def _end(stack: LocalStack, requests: "queue.SimpleQueue[int]") -> None:
    seconds = f"{stack.settings.shutdown_seconds:g}"
    stack.output.line(
        OURSELVES, f"stopping: running turns get {seconds} s, then go back into the queue; Ctrl-C again ends all at once"
    )

    def stop() -> None:
        stack.stop()
        requests.put(0)

    ending = threading.Thread(target=stop)
    ending.start()
    if requests.get():
        stack.kill()
    ending.join()
    stack.output.line(OURSELVES, "stopped")


@contextmanager
def _signals() -> Iterator["queue.SimpleQueue[int]"]:
    """Yield the signals that ask us to end, as they come. A SimpleQueue's `put` is safe in a signal handler."""
    requests: queue.SimpleQueue[int] = queue.SimpleQueue()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda got, _: requests.put(got)) for number in numbers}
    try:
        yield requests
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _announce(stack: LocalStack) -> None:
    addresses = stack.addresses
    lines = [
        f"Flower: {addresses.flower_url}" if addresses.flower_url else "",
        f"gateway: {addresses.web_url}/v1" if addresses.web_url else "",
        "no OPENAI_API_KEY and no OPENAI_BASE_URL: the offline stand-in model answers" if stack.settings.offline else "",
        """in another terminal: turnstile ask foo "Hi! I'm bob" """.rstrip(),
    ]
    for line in filter(None, lines):
        stack.output.line(OURSELVES, line)
