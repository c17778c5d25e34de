"""The event loop of a worker process: uvloop in a thread of its own, with a thread pool for chains that cannot run on it."""

import asyncio
import logging
import threading
from collections.abc import Callable, Collection, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from traceback import extract_tb
from typing import Any, TypeVar

from turnstile.workers.process.naming_loop import NamingLoop

log = logging.getLogger(__name__)

T = TypeVar("T")

_END_SECONDS = 60.0
_THREADS_SECONDS = 1.0


class LoopThread:
    """A running event loop; every method is for other threads. `own`: hosts whose look-ups wait for no others."""

    def __init__(self, threads: int, own: Collection[str] = ()) -> None:
        self._loop = NamingLoop(own)
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="chain")
        self._thread = threading.Thread(target=self._run, name="turns", daemon=True)

    def start(self) -> None:
        """Start the loop."""
        self._loop.set_default_executor(self._executor)
        self._thread.start()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run a coroutine on the loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def soon(self, call: Callable[..., object], *args: Any) -> None:
        """Call a function on the loop."""
        self._loop.call_soon_threadsafe(call, *args)

    def stop(self) -> bool:
        """Stop the loop and its threads. Return False when a chain still blocks a thread."""
        self.soon(self._loop.stop)
        self._thread.join(_END_SECONDS)
        # A thread cannot be stopped; joining it in another one lets us leave without it.
        ending = threading.Thread(target=self._executor.shutdown, kwargs={"cancel_futures": True}, daemon=True)
        ending.start()
        ending.join(_THREADS_SECONDS)
        return not ending.is_alive()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.set_exception_handler(_report)
        while True:
            try:
                return self._loop.run_forever()
            except BaseException as error:
                # asyncio lets SystemExit and KeyboardInterrupt out of a task, over all others; its awaiter gets the error, too.
                log.error("a chain raised %s", type(error).__name__)


def _report(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log the type and the place of an error that nobody awaits. asyncio's own line would quote the chain's arguments."""
    error = context.get("exception")
    frames = extract_tb(error.__traceback__)[-1:] if isinstance(error, BaseException) else ()
    log.error("left behind on the loop: %s %s", type(error).__name__, "".join(f"{f.filename}:{f.lineno}" for f in frames))
