"""HTTP for one session with an MCP server: every byte is counted where it comes from the network."""

import json
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpcore
import httpx

from turnstile.turns.http_connector import MOST_HEAD_BYTES
from turnstile.workers.chains.mcp.messages import Events, Id, Pieces, whole
from turnstile.workers.chains.mcp.reading import ENDED, BrokenAnswer, Reading

_TIMEOUT = httpx.Timeout(30, read=300)
_COMPRESSED = "The tool's server sent a compressed answer; none was asked for."
_OTHER_FORM = "The tool's server answered with neither JSON nor a stream of events."
_HEAD = f"The head of the answer of the tool's server has more than {MOST_HEAD_BYTES:,} bytes."


def http_client(reading: Reading, context: ssl.SSLContext) -> httpx.AsyncClient:
    """Return a client for one session, which uses the environment's proxies as httpx's own does."""
    hooks = _Hooks(reading)
    client = httpx.AsyncClient(
        headers={"accept-encoding": "identity"},
        timeout=_TIMEOUT,
        verify=context,
        event_hooks={"request": [hooks.request], "response": [hooks.response]},
    )
    for transport in (client._transport, *client._mounts.values()):
        if isinstance(transport, httpx.AsyncHTTPTransport):
            pool = transport._pool
            pool._network_backend = _Network(pool._network_backend, reading)
    return client


class _Network(httpcore.AsyncNetworkBackend):
    def __init__(self, network: httpcore.AsyncNetworkBackend, reading: Reading) -> None:
        self._network, self._reading = network, reading

    async def connect_tcp(self, *place: Any, **options: Any) -> httpcore.AsyncNetworkStream:
        return _Stream(await self._network.connect_tcp(*place, **options), self._reading)

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)


class _Stream(httpcore.AsyncNetworkStream):
    """One connection, or what is inside of its TLS."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, reading: Reading) -> None:
        self._stream, self._reading = stream, reading
        self._head: int | None = 0

    def head_ends(self) -> None:
        self._head = None

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's signature
        await self._reading.rest()
        data = await self._stream.read(min(max_bytes, self._reading.piece), timeout)
        self._reading.take(len(data))
        if self._head is not None:
            self._head += len(data)
            if self._head > MOST_HEAD_BYTES:
                raise self._reading.fail(_HEAD)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - httpcore's signature
        self._reading.ask()
        self._head = 0
        await self._stream.write(buffer, timeout)

    async def start_tls(self, *arguments: Any, **options: Any) -> httpcore.AsyncNetworkStream:
        return _Stream(await self._stream.start_tls(*arguments, **options), self._reading)

    async def aclose(self) -> None:
        await self._stream.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Hooks:
    """The work at each request and response of a session."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    async def request(self, _: httpx.Request) -> None:
        await self._reading.pace()

    async def response(self, response: httpx.Response) -> None:
        if isinstance(stream := response.extensions.get("network_stream"), _Stream):
            stream.head_ends()
        if response.headers.get("content-encoding", "identity") != "identity":
            raise self._reading.fail(_COMPRESSED)
        method = response.request.method
        # A notification's answer is not read, and what ends a session is read and dropped.
        if (
            not response.is_success
            or response.status_code == httpx.codes.ACCEPTED
            or (method == "POST" and _id(response.request) is None)
        ):
            return
        kind = response.headers.get("content-type", "").lower()
        if kind.startswith("text/event-stream"):
            if _resumes(response.request):
                self._reading.resumed()
            self._read(response, self._events)
        elif kind.startswith("application/json") and method == "POST":
            self._read(response, self._whole)
        elif method == "POST":
            raise self._reading.fail(_OTHER_FORM)

    def _read(self, response: httpx.Response, read: Callable[[Pieces, httpx.Request], Pieces]) -> None:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        # The library would decode by another charset what was checked as UTF-8.
        response.headers["content-type"] = response.headers["content-type"].partition(";")[0]
        response.stream = _Body(response.stream, read(aiter(response.stream), response.request))

    async def _whole(self, pieces: Pieces, request: httpx.Request) -> Pieces:
        try:
            yield await whole(pieces, _id(request))
        except BrokenAnswer as error:
            raise self._reading.fail(str(error)) from None
        except httpx.RequestError:
            raise self._reading.fail(ENDED) from None

    async def _events(self, pieces: Pieces, request: httpx.Request) -> Pieces:
        events = Events(_id(request))
        try:
            async for event in events.of(pieces):
                yield event
        except BrokenAnswer as error:
            raise self._reading.fail(str(error)) from None
        except httpx.RequestError:
            yield events.place
            self._ended(request, events)
            raise
        # The library reads no further once it has the answer.
        yield events.place
        self._ended(request, events)

    def _ended(self, request: httpx.Request, events: Events) -> None:
        if request.method == "GET":
            if _resumes(request):
                self._reading.unanswered(resumed=True)
        elif events.place:
            self._reading.unanswered()
        else:
            raise self._reading.fail(ENDED)


class _Body(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, pieces: Pieces) -> None:
        self._stream, self._pieces = stream, pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._pieces:
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


def _id(request: httpx.Request) -> Id:
    """Return the id under which a request wants an answer; None for a notification, or a request without a body."""
    message = json.loads(request.content) if request.content else {}
    found = message.get("id") if "method" in message else None
    return found if isinstance(found, str | int) else None


def _resumes(request: httpx.Request) -> bool:
    return "last-event-id" in request.headers
