"""A fence against late commands: a connection that takes another's place has the server close that one, before anything else.

The last bytes of a connection that was given up may lie in a socket's buffer or in a proxy. If they reached the server later,
it would run them: after the same commands, sent again, were answered, and after what others have done since.
"""

import logging
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from redis.exceptions import ResponseError

from turnstile.turns.redis.failures import is_busy

log = logging.getLogger(__name__)

_NAMES = re.compile(rb"id=(\d+) addr=(.*?) laddr=")

Command = tuple[str | bytes, ...]


class Fence:
    """The server's names for the last one of connections that take each other's place."""

    def __init__(self) -> None:
        self._last: tuple[bytes, bytes] | None = None

    def commands(self) -> list[Command]:
        """Return the first commands of a new connection: close the last one, and tell the names of this one."""
        who: Command = ("CLIENT", "INFO")
        if self._last is None:
            return [who]
        id, address = self._last
        # At another server, after a failover, the same id is a stranger's.
        return [("CLIENT", "KILL", "ID", id, "ADDR", address), who]

    def take(self, replies: Sequence[Any]) -> None:
        """Read the replies to the commands; where Redis refuses them, go on without a fence.

        Raises:
            redis.ResponseError: Redis is busy with a script, and has not closed the last connection.
        """
        for refusal in (reply for reply in replies if isinstance(reply, ResponseError)):
            if is_busy(refusal):
                raise refusal
            _warn(str(refusal))
        found = _NAMES.match(replies[-1]) if isinstance(replies[-1], bytes) else None
        self._last = (found[1], found[2]) if found else None


@cache
def _warn(refusal: str) -> None:
    log.warning(
        "Redis refuses what keeps commands of a lost connection from running late, after they were sent again: %s "
        "Grant the Redis user +client|info +client|kill with ACL SETUSER.",
        refusal,
    )


class _WithFence:
    send_packed_command: Any
    pack_commands: Any
    read_response: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fence = Fence()


class Fenced(_WithFence):
    """A blocking connection with a fence; it takes its own place each time it connects."""

    def on_connect_check_health(self, check_health: bool = True) -> None:
        super().on_connect_check_health(check_health)  # type: ignore[misc]  # the connection class beside it has it
        commands = self.fence.commands()
        self.send_packed_command(self.pack_commands(commands), check_health=False)
        self.fence.take([self._reply() for _ in commands])

    def _reply(self) -> Any:
        try:
            return self.read_response(disconnect_on_error=True)
        except ResponseError as error:
            return error


class AsyncFenced(_WithFence):
    """As above, for asyncio."""

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        await super().on_connect_check_health(check_health)  # type: ignore[misc]  # the connection class beside it has it
        commands = self.fence.commands()
        await self.send_packed_command(self.pack_commands(commands), check_health=False)
        self.fence.take([await self._reply() for _ in commands])

    async def _reply(self) -> Any:
        try:
            return await self.read_response(disconnect_on_error=True)
        except ResponseError as error:
            return error
