"""Server-sent events, sent as long as the client stays connected."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from time import monotonic
from typing import Any

from starlette.responses import Response

from turnstile.producers.gateway.disconnect import disconnected, while_connected
from turnstile.producers.gateway.edge.api_errors import ApiError, ClientGone, Restarting
from turnstile.producers.gateway.edge.connections import break_off
from turnstile.producers.gateway.edge.large_answers import pieces
from turnstile.turns.errors import QueueUnreachable
from turnstile.turns.text import dumps

log = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS = 15.0
# No empty line: openai-python takes one for the end of an event that has the last id.
_KEEP_ALIVE = b": keep-alive\n"
_HEADERS = {"cache-control": "no-store, no-transform", "x-accel-buffering": "no"}

Serve = Callable[[Awaitable[Any], Awaitable[None]], Awaitable[Any]]


def event(value: Mapping[str, Any]) -> bytes:
    """Return a value as an event of its own `type`, with its sequence number as id."""
    return f"id: {value['sequence_number']}\nevent: {value['type']}\ndata: {dumps(value)}\n\n".encode()


def data(value: Mapping[str, Any] | str) -> bytes:
    """Return a value, or a word, as an event without a type."""
    return f"data: {value if isinstance(value, str) else dumps(value)}\n\n".encode()


async def rest(chunks: AsyncGenerator[bytes]) -> Response:
    """Return the rest of a stream that has ended, or, where nothing is left, the answer that ends an EventSource."""
    left = b"".join([chunk async for chunk in chunks])
    if not left:
        return Response(status_code=204)
    return Response(left, headers=_HEADERS, media_type="text/event-stream")


class EventStream(Response):
    """A stream of chunks; at an empty chunk, a keep-alive comment is sent if one is due.

    The stream ends when the client disconnects. When `chunks` raises, the connection is broken off, or, before the first chunk,
    the request is answered with the error.
    """

    media_type = "text/event-stream"

    def __init__(self, chunks: AsyncGenerator[bytes], serve: Serve = while_connected) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._chunks = chunks
        self._serve = serve
        self._begun = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Write until the end, or until the client disconnects."""
        try:
            await self._serve(self._write(send), disconnected(receive))
        except ClientGone:
            return
        except (ApiError, QueueUnreachable, asyncio.CancelledError) as error:
            if not self._begun:
                raise
            # Without the end of the body the client sees that the stream is not whole.
            told = isinstance(error, (asyncio.CancelledError, Restarting))
            log.log(logging.DEBUG if told else logging.WARNING, "a stream breaks off: %s", type(error).__name__)
            break_off(scope)

    async def _write(self, send: Any) -> None:
        last = monotonic()
        async with aclosing(self._chunks) as chunks:
            async for chunk in chunks:
                if not self._begun:
                    await self._begin(send)
                if not chunk and monotonic() - last < KEEP_ALIVE_SECONDS:
                    continue
                for piece in pieces(chunk or _KEEP_ALIVE):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                del chunk, piece  # the next one may be long in coming
                last = monotonic()
        if not self._begun:
            await self._begin(send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _begin(self, send: Any) -> None:
        self._begun = True
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
