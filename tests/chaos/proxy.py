"""A TCP proxy on loopback that breaks the connections it carries.

All proxies of a run share one thread. A method may be called from any thread, and takes effect at once:

with ProxyThread() as thread:
    proxy = thread.open(6379)
    proxy.cut()
"""

import asyncio
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")

HOST = "127.0.0.1"
_CHUNK = 65_536
_BURIAL_SECONDS = 30.0
_WAIT_SECONDS = 10.0
_RESET = struct.pack("ii", 1, 0)

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Link:
    """One client's connection and ours to the server; each can be broken apart from all others."""

    def __init__(self, proxy: "FaultProxy", client: Streams, server: Streams | None) -> None:
        self._proxy = proxy
        self._client, self._server = client, server
        self._open = asyncio.Event()
        self._open.set()
        self.dead = server is None
        self.port = server[1].get_extra_info("sockname")[1] if server else 0
        """Ours towards the server: there `CLIENT LIST` calls the connection by it."""

    async def carry(self) -> None:
        """Carry bytes both ways until one side ends; a dead link swallows everything, the end included."""
        if self._server is None:
            await self._swallow()
            return
        ways = [self._requests(*self._server), self._replies(*self._server)]
        tasks = [asyncio.create_task(way) for way in ways]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not self.dead:
            await self._open.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.dead:
            await self._swallow()
            # The server has not heard that its client is gone; nor shall it, for a while.
            await asyncio.sleep(_BURIAL_SECONDS)
        self.cut()

    def cut(self) -> None:
        """Reset both connections."""
        for _, writer in filter(None, (self._client, self._server)):
            _reset(writer)

    def close_at_server(self) -> None:
        """Half-open: the server has closed, and the client never hears of it."""
        self.dead = True
        if self._server:
            _reset(self._server[1])

    def close_at_client(self) -> None:
        """Half-open: the client is gone, and the server does not hear of it for a while."""
        self.dead = True
        _reset(self._client[1])

    def hold(self) -> None:
        """Carry nothing either way; what comes is kept."""
        self._open.clear()

    def go_on(self) -> None:
        """Carry what was kept, and go on."""
        self._open.set()

    async def _requests(self, _: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        reader = self._client[0]
        while not self.dead and (data := await _read(reader)):
            await self._linger()
            if not self.dead:
                server.write(data)

    async def _replies(self, server: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        writer = self._client[1]
        while not self.dead and (data := await _read(server)):
            await self._linger()
            if self._proxy.deaf:
                return
            if not self.dead:
                writer.write(data)

    async def _linger(self) -> None:
        await self._proxy.linger()
        await self._open.wait()

    async def _swallow(self) -> None:
        while await _read(self._client[0]):
            pass
        self._client[1].transport.abort()


class FaultProxy:
    """One listening port that leads to a server on loopback. `port` is where to connect, over TLS if that is given."""

    def __init__(self, loop: asyncio.AbstractEventLoop, target: int, tls: ssl.SSLContext | None = None) -> None:
        self.port = 0
        self.target = target
        self.deaf = False
        """Replies are swallowed, and their connections cut: what was asked has been done, and nobody learns of it."""
        self._delay = 0.0
        self._silent = False
        self._loop = loop
        self._tls = tls
        self._links: set[Link] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._accept, HOST, 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    def heal(self) -> None:
        """Carry everything again; connections that were swallowed stay dead."""
        self.do(lambda: self._set(deaf=False, delay=0.0, silent=False))

    def cut(self) -> None:
        """Reset every connection."""
        self.do(self._cut)

    def slow_down(self, seconds: float) -> None:
        """Hold every chunk of bytes back for so long, each way."""
        self.do(lambda: self._set(delay=seconds))

    def swallow_replies(self) -> None:
        """Forward requests, swallow their replies and cut."""
        self.do(lambda: self._set(deaf=True))

    def go_silent(self) -> None:
        """Half-open: all connections stay, and nothing arrives any more, on either side, for ever; new ones likewise."""
        self.do(self._kill_links)

    def link(self, port: int) -> Link | None:
        """Return the connection that the server sees from this port, if it is one of ours."""
        return next((link for link in list(self._links) if link.port == port), None)

    def links(self) -> list[Link]:
        """Return the connections of now."""
        return list(self._links)

    def do(self, what: Callable[[], object]) -> None:
        """Do something to a link, in the proxies' thread."""
        self._loop.call_soon_threadsafe(what)

    async def linger(self) -> None:
        """Wait as long as the link is slow."""
        if self._delay:
            await asyncio.sleep(self._delay)

    def _set(self, deaf: bool | None = None, delay: float | None = None, silent: bool | None = None) -> None:
        self.deaf = self.deaf if deaf is None else deaf
        self._delay = self._delay if delay is None else delay
        self._silent = self._silent if silent is None else silent

    def _cut(self) -> None:
        for link in self._links:
            link.cut()

    def _kill_links(self) -> None:
        self._silent = True
        for link in self._links:
            link.dead = True

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server = None if self._silent else await asyncio.open_connection(HOST, self.target)
        except OSError:
            _reset(writer)
            return
        link = Link(self, (reader, writer), server)
        self._links.add(link)
        # asyncio's streams report a cancelled handler as an error.
        with suppress(asyncio.CancelledError):
            await link.carry()
        self._links.discard(link)
        link.cut()

    async def stop(self) -> None:
        """End every connection."""
        if self._server:
            self._server.close()
        self._cut()


class ProxyThread:
    """The thread that all proxies run in."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._proxies: list[FaultProxy] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def open(self, target: int, tls: ssl.SSLContext | None = None) -> FaultProxy:
        """Return a new proxy in front of a port."""
        proxy = FaultProxy(self._loop, target, tls)
        self._call(proxy.start())
        self._proxies.append(proxy)
        return proxy

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_WAIT_SECONDS)

    async def _stop(self) -> None:
        for proxy in self._proxies:
            await proxy.stop()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(_CHUNK)
    except OSError:
        return b""


def _reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    if raw is not None:
        with suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
