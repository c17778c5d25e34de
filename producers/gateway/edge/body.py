"""The bodies of requests, read by the routes that take one.

A route with a body parameter reads at most what its caller may send; any other route, and a path without a route, reads
nothing. A connection on which a large body was left unread is closed.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, MutableMapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from turnstile.producers.gateway.edge.api_errors import ApiError, ClientGone
from turnstile.producers.gateway.edge.caller import CALLER
from turnstile.producers.gateway.edge.client_presence import check_client
from turnstile.producers.gateway.edge.loop_accounts import account_of
from turnstile.producers.gateway.edge.rotation import next_in_rotation

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

MAX_BODY_BYTES = "turnstile.max_body_bytes"
"""Entry of an ASGI scope: the bytes of a body that its caller may send."""

UNREAD_BYTES = 16_384
"""Largest body that may follow a request whose route takes none; the server drops it."""

BODY_SECONDS = 30.0
"""Time for a body, beside a second for each BODY_BYTES_A_SECOND that have come."""
BODY_BYTES_A_SECOND = 32_768
BODIES_OF_A_KEY = 134_217_728
"""Bytes that the bodies of one API key may have together in one process, until their requests are answered or streamed."""
MOST_VALUES = 75_000
"""Values in a body's JSON: more than a turn takes. Reading several million, the gateway would answer nobody for seconds."""
MOST_NUMBERS = 200_000
"""Values in a body that has texts as lists of tokens. Such a body is read in a fraction of the time."""
VALUES_A_SECOND = 100_000
"""Values that one API key may have read; its next body waits until so much time has passed."""
_FEW_BYTES = 16_384
_LONGEST_WAIT = 30.0

_JSON = re.compile(r"application/([\w.+-]+\+)?json\s*(;.*)?", re.IGNORECASE)
_CLOSE = {"connection": "close"}
_held: Counter[str] = Counter()
_read_until: dict[str, float] = {}


class BodyRoute(APIRoute):
    """A route that reads a bounded body, or none."""

    most_values = MOST_VALUES

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of requests."""
        handle = super().get_route_handler()
        takes_body = self.body_field is not None

        async def read_and_handle(request: Request) -> Response:
            if not takes_body:
                _check_length(request.scope, UNREAD_BYTES)
                return await handle(request)
            if announced_bytes(request.scope) != 0 and not _JSON.fullmatch(request.headers.get("content-type", "")):
                raise _not_json()
            async with _body(request.scope, request.receive, self.most_values) as body:
                return await handle(Request(request.scope, _replay(body, request.receive)))

        return read_and_handle


class NumbersRoute(BodyRoute):
    """A route whose body may have lists of numbers."""

    most_values = MOST_NUMBERS


def announced_bytes(scope: Scope) -> int | None:
    """Return the length of a body by the request's headers; None if there is one of unknown length."""
    headers = dict(scope["headers"])
    if b"transfer-encoding" in headers:
        return None
    length = headers.get(b"content-length", b"0")
    return int(length) if length.isdigit() else 0


class BoundedReceive:
    """A `receive` for one body: not larger than `limit`, and not slower than BODY_SECONDS and BODY_BYTES_A_SECOND allow.

    Raises:
        ApiError: 408 or 413.
        ClientGone: the client disconnected.
    """

    def __init__(self, scope: Scope, receive: Receive, limit: int) -> None:
        _check_length(scope, limit)
        self._receive, self._limit, self._size = receive, limit, 0
        self._began = asyncio.get_running_loop().time()

    async def __call__(self) -> Message:
        """Return the next message, which has a part of the body."""
        try:
            async with asyncio.timeout_at(self._began + BODY_SECONDS + self._size / BODY_BYTES_A_SECOND):
                message = await self._receive()
        except TimeoutError:
            raise ApiError(408, "The body came too slowly; please retry.", None, "request_timeout", _CLOSE) from None
        if message["type"] == "http.disconnect":
            raise ClientGone
        self._size += len(message.get("body", b""))
        if self._size > self._limit:
            raise _too_large(self._limit)
        return message


@contextmanager
def holding(key: str) -> Iterator[Callable[[int], None]]:
    """Yield a function that notes how many bytes more a request holds for its key, and raises ApiError (429) for too many."""
    held = 0

    def hold(size: int) -> None:
        nonlocal held
        held += size
        _held[key] += size
        _check_room(key)

    try:
        yield hold
    finally:
        _held[key] -= held


@asynccontextmanager
async def _body(scope: Scope, receive: Receive, most_values: int) -> AsyncIterator[bytes]:
    """Read a body, and note that its key holds it."""
    key, body, more = scope[CALLER].api_key, bytearray(), True
    bounded = BoundedReceive(scope, receive, scope[MAX_BODY_BYTES])
    with holding(key) as hold:
        while more:
            message = await bounded()
            part, more = message.get("body", b""), message.get("more_body", False)
            body += part
            hold(len(part))
        # Bodies of many requests that have begun may come at one moment.
        await next_in_rotation(key)
        if key:
            await account_of(scope[CALLER].tenant).go_on()
        check_client()
        content = await _checked(bytes(body), key, most_values)
        check_client()
        yield content


def _check_room(key: str) -> None:
    if _held[key] > BODIES_OF_A_KEY:
        message = f"The open requests of this API key have more than {BODIES_OF_A_KEY:,} bytes; please retry."
        raise ApiError(429, message, None, "too_many_bytes", {"retry-after": "2", **_CLOSE})


def _check_length(scope: Scope, limit: int) -> None:
    if (announced_bytes(scope) or 0) > limit:
        raise _too_large(limit)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body once, and then what follows it: the disconnect."""
    waiting = [body]

    async def replay() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replay


async def _checked(body: bytes, key: str, most_values: int) -> bytes:
    if b"\0" in body:
        raise ApiError(400, "The body is not JSON in UTF-8.")
    if len(body) > _FEW_BYTES:
        await take_turn(key, values(body), most_values)
    # JSON can escape half of a surrogate pair, which no text store takes.
    if b"\\ud" in body.lower():
        try:
            json.dumps(json.loads(body), ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ApiError(400, "The body contains half of a surrogate pair.", None, "invalid_unicode") from None
        except (ValueError, RecursionError):
            return body
    return body


async def take_turn(key: str, count: int, most: int = MOST_VALUES) -> None:
    """Wait until the values of a key's earlier bodies have had their time, so that other keys' requests come between."""
    if count > most:
        message = f"The body has more than {most:,} values: send fewer, or longer texts."
        raise ApiError(413, message, None, "request_too_large")
    now = asyncio.get_running_loop().time()
    begins = max(now, _read_until.get(key, now))
    if begins > now + _LONGEST_WAIT:
        message = f"This API key sends more than {VALUES_A_SECOND:,} values of JSON a second; please retry."
        raise ApiError(429, message, None, "too_many_values", {"retry-after": str(round(_LONGEST_WAIT))})
    _read_until[key] = begins + count / VALUES_A_SECOND
    await asyncio.sleep(begins - now)


def values(body: bytes) -> int:
    """Return about how many values a JSON text has, counted without reading it; no more than are refused anyway."""
    marks = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    if (quotes := marks.count(b'"')) > 4 * MOST_NUMBERS:
        return quotes // 4
    outside = b"".join(marks.split(b'"')[::2])
    return sum(map(outside.count, (b",", b"[", b"{")))


def _not_json() -> ApiError:
    message = "Send the body as JSON, with `Content-Type: application/json`."
    return ApiError(415, message, None, "unsupported_media_type", _CLOSE)


def _too_large(limit: int) -> ApiError:
    message = f"The body is larger than the allowed {limit:,} bytes."
    return ApiError(413, message, None, "request_too_large", _CLOSE)
