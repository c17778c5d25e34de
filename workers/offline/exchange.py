"""HTTP of the offline stand-in: one connection, one exchange, and their counts."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@dataclass(slots=True)
class Stats:
    """Counts of requests. `aborted`: the client disconnected before the end of its answer."""

    requests: int = 0
    open: int = 0
    completed: int = 0
    failed: int = 0
    aborted: int = 0
    connections: int = 0
    limited: int = 0


class ClientGone(Exception):
    """The connection was closed before the answer was complete."""


class Exchange:
    """One request and its response."""

    def __init__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        self.scope, self._receive, self._send = scope, receive, send
        self.told: Sequence[tuple[bytes, bytes]] = ()

    def header(self, name: bytes) -> str:
        return next((value.decode("latin-1") for key, value in self.scope["headers"] if key == name), "")

    async def body(self) -> bytes:
        parts = []
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            parts.append(message["body"])
            if not message["more_body"]:
                return b"".join(parts)

    async def pause(self, seconds: float | None) -> None:
        """Wait; with None, for ever. Once the body is read, all that can still be received is the disconnect."""
        try:
            async with asyncio.timeout(seconds):
                await self._receive()
        except TimeoutError:
            return
        raise ClientGone

    async def start(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": [*headers, *self.told]})

    async def write(self, body: bytes, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def reply(self, body: bytes, status: int = 200, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        await self.start(status, [*json_headers(body), *headers])
        await self.write(body, more=False)

    async def hang_up(self, at_once: bool = False) -> None:
        transport: asyncio.Transport = self.scope["extensions"]["transport"]
        transport.abort() if at_once else transport.close()
        await self._receive()


def json_headers(body: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]


class Connection(HttpToolsProtocol):
    """uvicorn's protocol, silent, with the transport in reach of the application."""

    def __init__(self, config: Config, state: ServerState, stats: Stats) -> None:
        super().__init__(config, state, {})
        self.access_log = False
        self._stats = stats

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        self._stats.connections += 1
        super().connection_made(transport)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {"transport": self.transport}  # type: ignore[dict-item]  # ASGI's type knows dicts only
