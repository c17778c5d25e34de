"""One connection for all calls of an event loop: those of one moment go out in one write, and replies come back in order.

A call through redis-py's own client takes a connection from a pool and gives it back, which costs more than the call itself,
and the server reads once for each. Nothing that blocks the server's side (BLOCK, SUBSCRIBE) belongs here.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import hiredis
import redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff

from turnstile.turns.asyncio_tasks import end_all, run_together
from turnstile.turns.redis.failures import is_outage
from turnstile.turns.redis.fence import Fence
from turnstile.turns.redis.silence import watch_for_silence
from turnstile.turns.redis.single import open_beside

RETRIES = 6
CONNECT_SECONDS = 5.0
# How a connection differs from its pool's. With a socket_timeout redis-py reads and writes under time-outs of its own, which on
# Python 3.11 can swallow our cancellation.
OWN: dict[str, Any] = {"retry": Retry(NoBackoff(), 0), "health_check_interval": 0, "socket_timeout": None}

Word = str | int | float | bytes


@dataclass(slots=True)
class _Command:
    packed: bytes
    reply: asyncio.Future[Any] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    failures: int = 0

    def fail(self, error: Exception) -> None:
        if not self.reply.done():
            self.reply.set_exception(error)


class Multiplexer:
    """Runs commands over one connection of a pool's kind; for one event loop.

    A command whose connection is lost, or silent for too long, is sent again over a new one, `RETRIES` times; so it must bear
    being run twice. It need not bear being run later, since the fence keeps commands of the lost connection from running after
    those of the new one. `reconnected` holds what to call when a later connection stands, perhaps to another server.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._backoff = ExponentialWithJitterBackoff(base=0.05, cap=1.0)
        self._waiting: deque[_Command] = deque()
        self._sent: deque[_Command] = deque()
        self._wanted = asyncio.Event()
        self._failures = 0
        self._replies = 0
        self._task: asyncio.Task[None] | None = None
        self._connections = 0
        self._fence = Fence()
        self.reconnected: set[Callable[[], None]] = set()

    def execute(self, *words: Word) -> asyncio.Future[Any]:
        """Return the reply, as the parser gives it: bytes, numbers, lists, dicts.

        Raises (awaited):
            redis.ResponseError: the server's own.
            redis.ConnectionError, redis.TimeoutError: it could not be reached; the command may have run or not.
        """
        command = _Command(hiredis.pack_command(words))  # type: ignore[arg-type]  # its stub takes one word
        self._waiting.append(command)
        self._wanted.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="turnstile-multiplexer")
        return command.reply

    async def close(self) -> None:
        """End the connection; commands that still wait for a reply fail."""
        task, self._task = self._task, None
        if task is not None:
            await end_all([task])

    async def _run(self) -> None:
        try:
            while True:
                await self._wanted.wait()
                await self._connected()
        finally:
            self._give_up(redis.ConnectionError("The connection was closed."))

    async def _connected(self) -> None:
        connection = open_beside(self._pool, **OWN)
        connection.fence = self._fence
        trouble: Exception | None = None
        try:
            await self._serve(connection)
        except (redis.RedisError, OSError) as error:
            trouble = _as_redis_error(error)
        finally:
            await connection.disconnect(nowait=True)
        if trouble and not is_outage(trouble):
            self._give_up(trouble)
        elif trouble:
            await self._after(trouble)

    async def _serve(self, connection: AbstractConnection) -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            await connection.connect()  # type: ignore[no-untyped-call]  # untyped in redis-py
        self._connections += 1
        for call in self.reconnected if self._connections > 1 else ():
            call()
        await run_together(
            self._write(connection),
            self._read(connection),
            watch_for_silence(lambda: bool(self._sent), lambda: self._replies),
        )

    async def _write(self, connection: AbstractConnection) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            batch = [command for command in self._waiting if not command.reply.done()]
            self._waiting.clear()
            self._sent += batch
            await connection.send_packed_command([command.packed for command in batch], check_health=False)

    async def _read(self, connection: AbstractConnection) -> None:
        while True:
            try:
                reply = await connection.read_response(disconnect_on_error=False)
            except redis.ResponseError as error:
                reply = error
            if not self._sent:
                raise redis.ConnectionError("A reply came to nothing.")
            command = self._sent.popleft()
            self._failures = 0
            self._replies += 1
            if isinstance(reply, Exception):
                command.fail(reply)
            elif not command.reply.done():
                command.reply.set_result(reply)

    async def _after(self, trouble: Exception) -> None:
        """Keep what may be tried again, and wait a little before that."""
        commands = [*self._sent, *self._waiting]
        self._sent.clear()
        self._waiting.clear()
        for command in commands:
            command.failures += 1
            if command.failures > RETRIES:
                command.fail(trouble)
        self._waiting.extend(command for command in commands if not command.reply.done())
        if not self._waiting:
            # An idle connection that the server has closed; the next command opens another.
            self._wanted.clear()
            return
        self._wanted.set()
        self._failures += 1
        await asyncio.sleep(self._backoff.compute(self._failures))

    def _give_up(self, error: Exception) -> None:
        for command in (*self._sent, *self._waiting):
            command.fail(error)
        self._sent.clear()
        self._waiting.clear()
        self._wanted.clear()


def _as_redis_error(error: redis.RedisError | OSError) -> redis.RedisError:
    """Return an error of a connection as redis-py's own."""
    if isinstance(error, redis.RedisError):
        return error
    if isinstance(error, TimeoutError):
        return redis.TimeoutError("The server does not answer.")
    return redis.ConnectionError(str(error))
