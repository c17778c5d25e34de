"""Server-sent events, as long as the client listens."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from time import monotonic
from typing import Any

from starlette.responses import Response

from turnstile.producers.gateway.desk import gone, while_there
from turnstile.producers.gateway.edge.errors import ApiError, ClientGone
from turnstile.turns.errors import QueueUnreachable
from turnstile.turns.text import dumps

log = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS = 15.0
_KEEP_ALIVE = b": keep-alive\n\n"
_HEADERS = {"cache-control": "no-cache, no-transform", "x-accel-buffering": "no"}

Serve = Callable[[Awaitable[Any], Awaitable[None]], Awaitable[Any]]


def event(value: Mapping[str, Any]) -> bytes:
    """A value as an event of its own `type`."""
    return f"event: {value['type']}\ndata: {dumps(value)}\n\n".encode()


def data(value: Mapping[str, Any] | str) -> bytes:
    """A value, or a word, as an event without a type."""
    return f"data: {value if isinstance(value, str) else dumps(value)}\n\n".encode()


class EventStream(Response):
    """Writes what `chunks` gives; an empty chunk is a moment in which a keep-alive may be due.

    A client that goes away ends it at once. When `chunks` raises, the connection breaks off.
    """

    media_type = "text/event-stream"

    def __init__(self, chunks: AsyncGenerator[bytes], serve: Serve = while_there) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._chunks = chunks
        self._serve = serve

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG002  # ASGI's signature
        """Write until the end, or until the client has gone."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            await self._serve(self._write(send), gone(receive))
        except ClientGone:
            return
        except (ApiError, QueueUnreachable, asyncio.CancelledError) as error:
            # The body stays without its end, so the server breaks the connection: the client sees that there was more to come.
            log.warning("a stream breaks off: %s", type(error).__name__)

    async def _write(self, send: Any) -> None:
        last = monotonic()
        async with aclosing(self._chunks) as chunks:
            async for chunk in chunks:
                if not chunk and monotonic() - last < KEEP_ALIVE_SECONDS:
                    continue
                await send({"type": "http.response.body", "body": chunk or _KEEP_ALIVE, "more_body": True})
                last = monotonic()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
