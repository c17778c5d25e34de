"""All of Turnstile on one machine: the embedded server when no REDIS_URL is set, and the Procfile's commands.

with LocalStack(settings, workers=2) as stack:
    stack.addresses.redis_url, stack.addresses.flower_url
"""

import asyncio
import secrets
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TextIO

from turnstile.deploy.local.errors import ServerNotStarted
from turnstile.deploy.local.output import Output
from turnstile.deploy.local.ports import HOST, chosen_port
from turnstile.deploy.local.private_files import write_private
from turnstile.deploy.local.processes import local_processes
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.deploy.local.supervisor import OURSELVES, Process, Supervisor
from turnstile.turns.errors import TurnstileError
from turnstile.turns.extras import need
from turnstile.turns.redis.local_server import RUNTIME_FILE, data_folder
from turnstile.turns.settings import Settings

FLOWER_PORT = 5555
WEB_PORT = 8000

_READY_SECONDS = 120.0
_GUARD_SECONDS = 0.5
_LONGEST_GUARD_SECONDS = 30.0


class StackNotReady(TurnstileError):
    """A process of the stack did not come up; the message ends with its last lines."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of a stack. `redis_url` may hold a password; the others are empty when not started."""

    redis_url: str
    flower_url: str = ""
    web_url: str = ""


class LocalStack:
    """Workers, Flower, the gateway and the embedded server, started and ended together.

    The processes' lines go to `log`; without one they are kept for error messages only. Without a port
    given, one that is taken is replaced by a free one. `broken` becomes the name of a process that cannot be kept running.
    """

    def __init__(
        self,
        settings: Settings,
        workers: int = 2,
        flower: bool = True,
        web: bool = False,
        flower_port: int | None = None,
        web_port: int | None = None,
        log: TextIO | None = None,
    ) -> None:
        for extra, wanted in {"worker": workers, "flower": flower, "gateway": web, "local": not settings.redis_url}.items():
            if wanted:
                need(extra)
        self.settings = settings
        self.output = Output(log, as_json=settings.log_format == "json")
        self.broken: Future[str] = Future()
        self._workers = workers
        self._server: EmbeddedServer | None = None
        if not settings.redis_url:
            self._server = EmbeddedServer(data_folder(settings), password=secrets.token_urlsafe(24))
        self._ports = {
            **({"flower": chosen_port("flower", flower_port, FLOWER_PORT)} if flower else {}),
            **({"web": chosen_port("web", web_port, WEB_PORT)} if web else {}),
        }
        self._published: Path | None = None
        self._thread: threading.Thread | None = None
        self._kill: Callable[[], None] = lambda: None
        self._stop: Callable[[], None] = lambda: None

    @property
    def addresses(self) -> Addresses:
        """Return the addresses; known once started."""
        urls = {f"{name}_url": f"http://{HOST}:{port}" for name, port in self._ports.items()}
        return Addresses(self._server.url if self._server else self.settings.redis_url, **urls)

    def start(self) -> None:
        """Start all, without waiting for them to be ready.

        Raises:
            ServerNotStarted: the embedded server did not start, or another one has the data folder.
        """
        if self._server:
            self._server.start()
        try:
            self._publish()
            started: Future[None] = Future()
            self._thread = threading.Thread(target=self._run_loop, args=(started,), name="stack", daemon=True)
            self._thread.start()
            started.result()
        except BaseException:
            self.stop()
            raise

    def wait_until_ready(self, seconds: float = _READY_SECONDS) -> None:
        """Wait until workers take work and Flower and the gateway answer.

        Raises:
            StackNotReady: one could not be started, or the time is up.
        """
        ready = asyncio.run_coroutine_threadsafe(self._supervisor.wait_until_ready(), self._loop)
        try:
            if ready.result(seconds):
                return
        except TimeoutError:
            ready.cancel()
        names = [child.process.name for child in self._supervisor.children if not child.ready.is_set()]
        late = self.broken.result() if self.broken.done() else (names or ["the stack"])[0]
        raise StackNotReady("\n".join([f"{late} did not come up; its last lines:", *self.output.last(late)]))

    def stop(self) -> None:
        """End workers, then Flower, then the gateway, then the embedded server."""
        self._stop()
        if self._thread:
            self._thread.join()
        if self._published:
            self._published.unlink(missing_ok=True)
            self._published = None
        if self._server:
            self._server.stop()

    def kill(self) -> None:
        """End workers, Flower and the gateway at once, from any thread; `stop`, or one under way, does the rest."""
        self._kill()

    def __enter__(self) -> "LocalStack":
        self.start()
        try:
            self.wait_until_ready()
        except BaseException:
            self.kill()
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self.stop()
        except KeyboardInterrupt:
            self.kill()
            self.stop()
            raise

    def _publish(self) -> None:
        """Tell the user's other programs where the embedded server is; only the user may read it."""
        if self._server:
            write_private(fresh := self._server.folder / f"{RUNTIME_FILE}.new", f"{self._server.url}\n")
            self._published = fresh.replace(self._server.folder / RUNTIME_FILE)

    def _run_loop(self, started: Future[None]) -> None:
        try:
            asyncio.run(self._run(started))
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    async def _run(self, started: Future[None]) -> None:
        with tempfile.TemporaryDirectory(prefix="turnstile-") as folder:
            self._loop = asyncio.get_running_loop()
            stopping = asyncio.Event()
            self._supervisor = Supervisor(self._processes(Path(folder)), self.output)
            self._supervisor.broken.add_done_callback(self._pass_on)
            self._stop = partial(_call, self._loop, stopping.set)
            self._kill = partial(_call, self._loop, self._supervisor.kill)
            guard = asyncio.create_task(self._guard(stopped := asyncio.Event()))
            started.set_result(None)
            await stopping.wait()
            await self._supervisor.stop()
            stopped.set()
            await guard

    def _pass_on(self, broken: "asyncio.Future[str]") -> None:
        if not broken.cancelled():
            self.broken.set_result(broken.result())

    async def _guard(self, stopped: asyncio.Event) -> None:
        """Start the embedded server again when it dies."""
        wait = _GUARD_SECONDS
        while self._server and not await _is_set_within(stopped, wait):
            if self._server.pid:
                wait = _GUARD_SECONDS
                continue
            self.output.line(OURSELVES, "the embedded server ended unexpectedly; starting it again")
            try:
                await asyncio.to_thread(self._server.start)
            except ServerNotStarted as error:
                self.output.line(OURSELVES, str(error))
                wait = min(wait * 2, _LONGEST_GUARD_SECONDS)

    def _processes(self, folder: Path) -> list[Process]:
        addresses = self.addresses
        known = {"redis_url": addresses.redis_url, "flower_url": self.settings.flower_url or addresses.flower_url}
        settings = self.settings.model_copy(update=known)
        return local_processes(settings, folder, self._workers, self._ports)


def _call(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    # The loop is closed when all has ended already.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(what)


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()
