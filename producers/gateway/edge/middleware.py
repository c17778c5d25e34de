"""The middleware around every request: a request id, authentication, and the end of connections with unread bodies."""

import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from turnstile.producers.gateway.edge.api_errors import ApiError, translate
from turnstile.producers.gateway.edge.auth import Authenticator
from turnstile.producers.gateway.edge.body import UNREAD_BYTES, Message, Receive, Scope, announced_bytes
from turnstile.turns.errors import TurnstileError

Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_CLOSE = (b"connection", b"close")


class EdgeMiddleware:
    """ASGI middleware that authenticates requests; every response has the header `x-request-id`."""

    def __init__(self, app: Application, authenticator: Authenticator) -> None:
        self._app = app
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = [(b"x-request-id", f"req_{uuid.uuid4().hex}".encode())]
        body = _Body(scope, receive)

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                closing = [_CLOSE] if body.unread and _CLOSE not in message["headers"] else []
                message["headers"] = [*message["headers"], *headers, *closing]
            await send(message)

        try:
            headers += await self._authenticator.admit(scope)
        except (ApiError, TurnstileError) as error:
            refusal = error if isinstance(error, ApiError) else translate(error)
            await refusal.response()(scope, receive, send_marked)
            return
        await self._app(scope, body.receive, send_marked)


class _Body:
    """A request's body; `unread` while a large one, or one of unknown length, has not been received whole."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        length = announced_bytes(scope)
        self.unread = length is None or length > UNREAD_BYTES

    async def receive(self) -> Message:
        """Return the next message of the request."""
        message = await self._receive()
        if not message.get("more_body", False):
            self.unread = False
        return message
