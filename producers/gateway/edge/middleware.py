"""What stands around every request: an id for it, the gate, and a bound on its body."""

import json
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from turnstile.producers.gateway.edge.auth import Gate
from turnstile.producers.gateway.edge.errors import ApiError, translate
from turnstile.turns.errors import TurnstileError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class Envelope:
    """ASGI middleware: what the gate lets in has its body read whole; every response carries `x-request-id`."""

    def __init__(self, app: Application, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        marks = [(b"x-request-id", f"req_{uuid.uuid4().hex}".encode())]

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *marks]
            await send(message)

        try:
            leave = await self._gate.admit(scope)
            marks += leave.headers
            body = await _read(scope, receive, leave.max_bytes)
        except (ApiError, TurnstileError) as error:
            told = error if isinstance(error, ApiError) else translate(error)
            await told.response()(scope, receive, marked)
            return
        if body is not None:
            await self._app(scope, _replay(body, receive), marked)


async def _read(scope: MutableMapping[str, Any], receive: Receive, most: int) -> bytes | None:
    """The body; None when the client went away before its end."""
    length = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    if length.isdigit() and int(length) > most:
        raise _too_large(most)
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            raise _too_large(most)
        more = message.get("more_body", False)
    return _checked(b"".join(parts))


def _replay(body: bytes, receive: Receive) -> Receive:
    """Hand out the body once; what can still come after it is the disconnect."""
    waiting = [body]

    async def replay() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replay


def _checked(body: bytes) -> bytes:
    # JSON can escape half of a surrogate pair, which no text store takes.
    if b"\\ud" in body.lower():
        try:
            json.dumps(json.loads(body), ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ApiError(400, "The body holds half of a surrogate pair.", None, "invalid_unicode") from None
        except (ValueError, RecursionError):
            return body
    return body


def _too_large(most: int) -> ApiError:
    message = f"The body is larger than the {most:,} bytes that are allowed."
    return ApiError(413, message, None, "request_too_large", {"connection": "close"})
