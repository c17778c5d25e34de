"""Running calls of Redis: one exchange of commands and replies for each call, blocking or awaited.

A role declares each of its operations once, as a method that describes a call. The class that it is mixed with runs it:
`BlockingRunner` returns the result, `AwaitedRunner` returns an awaitable of it. Every operation may be repeated by the
same caller, because redis-py repeats a call whose reply was lost.
"""

from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

import redis
import redis.asyncio
from redis.exceptions import NoScriptError

from turnstile.turns.redis.address import parse
from turnstile.turns.redis.connection import connect, connect_async, multiplexer, server_url
from turnstile.turns.redis.failures import translate
from turnstile.turns.redis.keys import Keys
from turnstile.turns.redis.script_arguments import Word
from turnstile.turns.redis.scripts import ARGUMENTS, build
from turnstile.turns.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A script or command to run, with its arguments in order, and a reader of its reply."""

    name: str
    args: Sequence[Word]
    read: Callable[[Any], T]
    blocks: bool = False
    """It waits at the server, so it needs a connection of its own."""
    then: "Call[Any] | None" = None
    """A call that is made after it, whose result nobody needs."""


def script_call(name: str, read: Callable[[Any], T], /, **arguments: Word | Sequence[Word]) -> Call[T]:
    """Describe a run of a script, with its arguments by the names of its header. Raises TypeError for other names."""
    return Call(name, ARGUMENTS[name].ordered(arguments), read)


class operation(Generic[P, T]):  # noqa: N801 - used as a decorator
    """A method that describes a call, turned into one that makes it."""

    def __init__(self, describe: Callable[Concatenate[Any, P], Call[T]]) -> None:
        self.describe = describe
        self.__doc__ = describe.__doc__

    @overload
    def __get__(self, runner: None, owner: type) -> Self: ...
    @overload
    def __get__(self, runner: "BlockingRunner", owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, runner: "AwaitedRunner", owner: type) -> Callable[P, Awaitable[T]]: ...
    def __get__(self, runner: Any, owner: type) -> Any:
        return self if runner is None else partial(self._run, runner)

    def _run(self, runner: Any, *args: P.args, **kwargs: P.kwargs) -> Any:
        return runner.run(self.describe(runner, *args, **kwargs))


class Runner:
    """The facts that every call needs: settings, address, names of keys, and scripts."""

    def __init__(self, settings: Settings, url: str | None = None) -> None:
        self.settings = settings
        self.url = url or server_url(settings)
        self.address = parse(self.url)
        self.keys = Keys(settings.key_prefix, settings.history_prefix)
        self.scripts = build(settings)

    def _exchange(self, call: Call[T]) -> Generator[tuple[Word, ...], Any, T]:
        """Yield the commands that make a call, and the one after it, take their replies, and return the result of the first."""
        result = yield from self._exchange_one(call)
        if call.then:
            yield from self._exchange(call.then)
        return result

    def _exchange_one(self, call: Call[T]) -> Generator[tuple[Word, ...], Any, T]:
        script = self.scripts.get(call.name)
        try:
            if script is None:
                return call.read((yield (call.name, *call.args)))
            try:
                reply = yield ("EVALSHA", script.sha, 0, *call.args)
            except NoScriptError:
                reply = yield ("EVAL", script.source, 0, *call.args)
            return call.read(reply)
        except redis.RedisError as error:
            raise translate(error, self.address, call.name) from error


class BlockingRunner(Runner):
    """Calls that block. Thread-safe."""

    def __init__(self, settings: Settings, url: str | None = None) -> None:
        super().__init__(settings, url)
        self.client = connect(self.url)

    def run(self, call: Call[T]) -> T:
        """Make a call. Raises QueueUnreachable, QueueMemoryFull, and what the call's reader raises."""
        exchange = self._exchange(call)
        try:
            command = next(exchange)
            while True:
                try:
                    reply = self._send(*command)
                except redis.RedisError as error:
                    command = exchange.throw(error)
                else:
                    command = exchange.send(reply)
        except StopIteration as end:
            result: T = end.value
            return result

    def _send(self, *command: Word) -> Any:
        return self.client.execute_command(*command)  # type: ignore[no-untyped-call]  # untyped in redis-py


class AwaitedRunner(Runner):
    """Calls that are awaited; for one event loop."""

    @property
    def client(self) -> redis.asyncio.Redis:
        """The running loop's client."""
        return connect_async(self.url)

    async def run(self, call: Call[T]) -> T:
        """Make a call. Raises QueueUnreachable, QueueMemoryFull, and what the call's reader raises."""
        exchange = self._exchange(call)
        send = self._send_alone if call.blocks else self._send
        try:
            command = next(exchange)
            while True:
                try:
                    reply = await send(*command)
                except redis.RedisError as error:
                    command = exchange.throw(error)
                else:
                    command = exchange.send(reply)
        except StopIteration as end:
            result: T = end.value
            return result

    def _send(self, *command: Word) -> Awaitable[Any]:
        return multiplexer(self.url).execute(*command)

    async def _send_alone(self, *command: Word) -> Any:
        return await self.client.execute_command(*command)  # type: ignore[no-untyped-call]  # untyped in redis-py
