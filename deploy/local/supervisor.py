"""Supervision of several processes: their lines on one stream, each restarted when it dies, all ended in order.

Each child leads a process group of its own, so Ctrl-C on the terminal reaches only us and we end the children in order.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from turnstile.deploy.local.output import Output
from turnstile.deploy.local.parent_death import die_with_parent

OURSELVES = "turnstile"

_FIRST_BACK_OFF = 0.5
_LONGEST_BACK_OFF = 30.0
_LASTING_SECONDS = 10.0
_MOST_FAILED_STARTS = 5
# The exit status for a wrong setting or option: a restart does not help.
_WRONG_USE = 2
_READY_POLL_SECONDS = 0.1
_LONGEST_LINE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Process:
    """One process to run. `env` is its whole environment, and may hold secrets.

    `ready` tells, from a thread, whether it is up. Processes end stage by stage, the lowest first; one that is still there
    `stop_timeout` seconds after its `stop_signal` is killed.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(repr=False)
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout: float = 10.0
    stage: int = 0
    ready: Callable[[], bool] = lambda: True


class Child:
    """One process, kept running until it is stopped, or until it ends too often before it is ready."""

    def __init__(self, process: Process, output: Output, gave_up: Callable[[str], None]) -> None:
        self.process = process
        self.ready = asyncio.Event()
        self._output = output
        self._gave_up = gave_up
        self._running: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._end = process.stop_signal
        self._task = asyncio.create_task(self._keep_running())

    @property
    def pid(self) -> int:
        """The process id; 0 while it is not running."""
        return self._running.pid if self._running else 0

    async def stop(self) -> None:
        """Ask it to end, kill it when it has not ended in time, and return when it has."""
        self._stopping.set()
        self._send(self._end)
        done, _ = await asyncio.wait([self._task], timeout=self.process.stop_timeout)
        if not done:
            self._say(f"did not end within {self.process.stop_timeout:g} s: killed")
            self.kill()
        await self._task

    def kill(self) -> None:
        """SIGKILL for its whole process group."""
        self._stopping.set()
        self._end = signal.SIGKILL
        self._send(self._end)

    async def _keep_running(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            self.ready.clear()
            started = time.monotonic()
            status = await self._run()
            failures = 1 if time.monotonic() - started > _LASTING_SECONDS else failures + 1
            if self._is_hopeless(status, failures):
                self._say(f"ended before it was ready ({_reason(status)}), start {failures}: giving up")
                return self._gave_up(self.process.name)
            await self._back_off(status, failures)
        return None

    def _is_hopeless(self, status: int, failures: int) -> bool:
        if self.ready.is_set() or self._stopping.is_set():
            return False
        return status == _WRONG_USE or failures > _MOST_FAILED_STARTS

    async def _back_off(self, status: int, failures: int) -> None:
        if self._stopping.is_set():
            return
        delay = min(_FIRST_BACK_OFF * 2 ** (failures - 1), _LONGEST_BACK_OFF)
        self._say(f"ended unexpectedly ({_reason(status)}); starting it again in {delay:g} s")
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), delay)

    async def _run(self) -> int:
        lines, stdout = os.pipe()
        copying = asyncio.create_task(self._copy_lines(lines))
        try:
            self._running = await self._start(stdout)
        finally:
            os.close(stdout)
        readiness = asyncio.create_task(self._become_ready())
        # A stop during the start had no process to signal.
        if self._stopping.is_set():
            self._send(self._end)
        status = await self._running.wait()
        readiness.cancel()
        self._send_group(signal.SIGKILL)
        await copying
        self._running = None
        return status

    async def _start(self, stdout: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *die_with_parent(list(self.process.argv)),
            env=self.process.env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=asyncio.subprocess.STDOUT,
            process_group=0,
        )

    def _send(self, number: signal.Signals) -> None:
        if number == signal.SIGKILL:
            self._send_group(number)
        elif self._running:
            with suppress(ProcessLookupError):
                self._running.send_signal(number)

    def _send_group(self, number: signal.Signals) -> None:
        if self._running:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._running.pid, number)

    async def _become_ready(self) -> None:
        while not await asyncio.to_thread(self.process.ready):  # noqa: ASYNC110  # what it waits for is outside of us
            await asyncio.sleep(_READY_POLL_SECONDS)
        self.ready.set()
        self._say("is ready")

    async def _copy_lines(self, pipe: int) -> None:
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(pipe, "rb", buffering=0)
        )
        rest = b""
        while data := await reader.read(_LONGEST_LINE):
            *lines, rest = (rest + data).split(b"\n")
            if len(rest) > _LONGEST_LINE:
                lines, rest = [*lines, rest], b""
            self._write(lines)
        self._write([rest] if rest else [])
        transport.close()

    def _write(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            self._output.line(self.process.name, line.decode(errors="replace").rstrip("\r"))

    def _say(self, what: str) -> None:
        self._output.line(OURSELVES, f"{self.process.name} {what}")


def _reason(status: int) -> str:
    return f"exit status {status}" if status >= 0 else signal.Signals(-status).name


class Supervisor:
    """Several processes, started together and ended stage by stage; made and used on one event loop.

    `broken` becomes the name of the first process that could not be kept running.
    """

    def __init__(self, processes: Sequence[Process], output: Output) -> None:
        self.broken: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.children = [Child(process, output, self._gave_up) for process in processes]

    async def wait_until_ready(self) -> bool:
        """Wait for all; false when one of them gave up."""
        all_ready = asyncio.gather(*(child.ready.wait() for child in self.children))
        either: list[asyncio.Future[Any]] = [all_ready, self.broken]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            return not self.broken.done()
        finally:
            all_ready.cancel()

    async def stop(self) -> None:
        """End the lowest stage, then the next, and return when all have ended."""
        for stage in sorted({child.process.stage for child in self.children}):
            await asyncio.gather(*(child.stop() for child in self.children if child.process.stage == stage))

    def kill(self) -> None:
        """End all at once; a `stop` that is under way then returns."""
        for child in self.children:
            child.kill()

    def _gave_up(self, name: str) -> None:
        if not self.broken.done():
            self.broken.set_result(name)
