"""redis-py's asyncio connections, mended for uvloop."""

from functools import cache
from typing import Any

import redis


class _Mended:
    async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
        try:
            await super().send_packed_command(*args, **kwargs)  # type: ignore[misc]  # the connection class beside it has it
        except RuntimeError as error:
            # So uvloop speaks of a transport that the server has closed; redis-py knows OSError only, and would not retry.
            raise redis.ConnectionError("The connection is closed.") from error


@cache
def mended(kind: type) -> type:
    """A connection class whose closed connections raise redis.ConnectionError under every event loop."""
    return type(kind.__name__, (_Mended, kind), {})
