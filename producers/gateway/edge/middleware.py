"""The middleware around every request: a request id, authentication, headers of every answer, the end with a removed key."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

from turnstile.producers.gateway.edge.api_errors import NO_RETRY, ApiError, Restarting, translate
from turnstile.producers.gateway.edge.auth import PROBES, Authenticator, key_removed
from turnstile.producers.gateway.edge.body import UNREAD_BYTES, Message, Receive, Scope, announced_bytes
from turnstile.producers.gateway.edge.caller import CALLER
from turnstile.producers.gateway.edge.client_presence import watch_client
from turnstile.producers.gateway.edge.connections import break_off, is_gone
from turnstile.producers.gateway.edge.head import check_head
from turnstile.producers.gateway.edge.large_answers import Holding, is_large, not_sent, require_room, send_in_pieces
from turnstile.producers.gateway.edge.loop_accounts import account_of
from turnstile.producers.gateway.edge.loop_time import loop_account, metered
from turnstile.producers.gateway.edge.open_requests import receive_until
from turnstile.producers.gateway.edge.open_streams import close_stream
from turnstile.producers.gateway.edge.request_log import RequestLine
from turnstile.producers.gateway.edge.rotation import next_in_rotation, next_of_address
from turnstile.producers.gateway.prompt_store import api_key
from turnstile.turns.errors import TurnstileError

Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_CLOSE = (b"connection", b"close")
LINGER_SECONDS = 5.0
"""Time for the rest of a body whose request has been answered with the connection's end."""
MOST_LINGERING = 500
"""Connections that wait for such a rest at one time; others are closed at once."""
_DEFAULTS = {b"x-content-type-options": b"nosniff", b"cache-control": b"no-store"}


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
        exchange = _Exchange(scope, receive, send)
        try:
            with exchange.line.open():
                await self._answer(scope, exchange)
        finally:
            await close_stream(scope)
        await exchange.end()

    async def _answer(self, scope: Scope, exchange: "_Exchange") -> None:
        try:
            self._authenticator.admit(scope)
            await self._serve(scope, exchange)
        except (ApiError, TurnstileError) as error:
            if exchange.started:
                raise
            await exchange.refuse(error if isinstance(error, ApiError) else translate(error))
        except asyncio.CancelledError:
            await exchange.cut_off()

    async def _serve(self, scope: Scope, exchange: "_Exchange") -> None:
        key = scope[CALLER].api_key
        if not key:
            await self._begin(scope, exchange, exchange.receive, exchange.send)
            return
        api_key.set(key)
        loop_account.set(account_of(scope[CALLER].tenant))
        with self._authenticator.requests.of(key) as removed:

            async def send(message: Message) -> None:
                if exchange.started or not removed.done():
                    await exchange.send(message)

            await self._begin(scope, exchange, lambda: receive_until(removed, exchange.receive), send)
            if removed.done() and not exchange.started:
                await exchange.refuse(key_removed())

    async def _begin(self, scope: Scope, exchange: "_Exchange", receive: Receive, send: Send) -> None:
        """Pass a request on when its key's turn has come, unless its client has left by then, and count it before."""
        key = scope[CALLER].api_key
        if scope["path"] in PROBES:
            await next_of_address("probes", scope)
        else:
            watch_client(scope)
            await next_in_rotation(key)
        check_head(scope)
        if key and not is_gone(scope) and (counted := await self._authenticator.count(key)):
            exchange.headers += counted
            # Many replies come in one pass of the loop.
            await next_in_rotation(key)
        if announced_bytes(scope) != 0:
            require_room(key)
        if not is_gone(scope):
            await metered(self._app(scope, receive, send))


class _Lingering:
    """The number of connections that are kept for the rest of a body."""

    count = 0

    def __enter__(self) -> None:
        self.count += 1

    def __exit__(self, *_: object) -> None:
        self.count -= 1


_lingering = _Lingering()


class _Exchange:
    """One request and its answer.

    A connection is closed after the answer if a large body, or one of unknown length, has not been received whole. Closed at
    once, it would break under a client that still sends, and some would not read the answer: proxies would say 502.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._to_come = announced_bytes(scope)
        id = f"req_{uuid.uuid4().hex}"
        self.headers = [(b"x-request-id", id.encode())]
        self.line = RequestLine(scope, id)
        self.started = False
        self._large_head: Message | None = None
        self._closes = self._ends_later = False

    async def receive(self) -> Message:
        """Return the next message of the request."""
        message = await self._receive()
        if not message.get("more_body", False):
            self._to_come = 0
        return message

    async def send(self, message: Message) -> None:
        """Send the next message of the answer."""
        if message["type"] == "http.response.start" and is_large(message):
            self._large_head = message
        elif self._large_head:
            await self._send_large(self._large_head, message)
        else:
            await self._pass_on(message)

    async def _send_large(self, head: Message, body: Message) -> None:
        self._large_head = None
        try:
            with Holding(self._scope[CALLER].api_key) as holding:
                holding.set(len(body["body"]))
                await self._pass_on(head)
                await send_in_pieces(self._pass_on, body)
        except ApiError as error:
            await self.refuse(error if self._scope["method"] == "GET" else not_sent(self.line.turn))

    async def _pass_on(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self.line.status = message["status"]
            given = {name for name, _ in message["headers"]}
            unread = self._to_come is None or self._to_come > UNREAD_BYTES
            closing = [_CLOSE] if unread and _CLOSE not in message["headers"] else []
            defaults = [header for header in _DEFAULTS.items() if header[0] not in given]
            message["headers"] = [*message["headers"], *self.headers, *defaults, *closing]
            self._closes = _CLOSE in message["headers"]
        elif self._closes and self._to_come != 0 and not message.get("more_body", False):
            self._ends_later = True
            message = {**message, "more_body": True}
        await self._send(message)

    async def end(self) -> None:
        """End an answer that has been sent but for its end: drop what still comes of the body first."""
        if not self._ends_later:
            return
        if _lingering.count < MOST_LINGERING:
            with _lingering, suppress(TimeoutError):
                async with asyncio.timeout(LINGER_SECONDS):
                    while (await self.receive()).get("more_body", False):
                        pass
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def cut_off(self) -> None:
        """End an exchange because the server stops. It may be half done: only a request that only reads is to be repeated."""
        if self.started:
            break_off(self._scope)
        else:
            await self.refuse(Restarting(None if self._scope["method"] == "GET" else NO_RETRY))

    async def refuse(self, error: ApiError) -> None:
        """Answer with an error."""
        await error.response()(self._scope, self._receive, self.send)
