"""Requests are read within bounds, and reading that takes long is charged."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from tests.support.wait import PATIENCE_SECONDS, wait_until_async
from turnstile.producers.gateway.edge import bounded_reading
from turnstile.producers.gateway.edge.bounded_reading import HEAD_BYTES, MOST_HEADERS, MOST_TARGET_BYTES
from turnstile.producers.gateway.edge.caller import CALLER, Caller
from turnstile.producers.gateway.edge.connections import WRITE_BYTES, _exchange, is_gone, watch_connections
from turnstile.producers.gateway.edge.large_answers import PIECE_BYTES

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Connection]]

HEAD = b"POST /acme HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
FLOODS = {
    "a head": (b"GET / HTTP/1.1\r\n", b"x-name: value\r\n"),
    "chunks of a byte": (HEAD, b"1\r\n:\r\n"),
    "an extension of a chunk": (HEAD + b"1;", b"name=value;"),
    "a size of a chunk": (HEAD, b"0"),
    "trailers": (HEAD + b"0\r\n", b"x-name: value\r\n"),
    "the next head": (HEAD + b"0\r\n\r\nGET / HTTP/1.1\r\n", b"x-name: value\r\n"),
}
"""Name → the beginning, and what follows without end."""


unread: list[Any] = []
"""Requests whose answers nobody reads."""


async def serve(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the body, or, to a GET, without end. The path names the tenant."""
    if scope["method"] == "GET":
        unread.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not is_gone(scope):
            await send({"type": "http.response.body", "body": bytes(PIECE_BYTES), "more_body": True})
        return
    scope[CALLER] = Caller(scope["path"][1:], "key")
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


class _Lifespan:
    def __init__(self, config: Config) -> None:
        self.config = config

    async def send(self, message: Any) -> None:
        """Stand for uvicorn's own."""


@pytest.fixture(params=["httptools", "h11"])
async def connect(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    """Return a function that connects to a server of uvicorn's with one of its protocols."""
    config = Config(serve, http=request.param, lifespan="off", log_level="critical")
    config.load()
    assert watch_connections(_Lifespan(config).send)
    protocol: Any = config.http_protocol_class
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: protocol(config, ServerState(), {}), "127.0.0.1", 0)
    opened: list[asyncio.StreamWriter] = []

    async def open_one() -> Connection:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        opened.append(writer)
        return reader, writer

    yield open_one
    for writer in opened:
        writer.transport.abort()
    server.close()


@asynccontextmanager
async def in_time() -> AsyncIterator[None]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        yield


async def pour(writer: asyncio.StreamWriter, more: bytes) -> None:
    """Write the same until the server ends the connection."""
    async with in_time():
        while True:
            writer.write(more * (HEAD_BYTES // len(more)))
            await writer.drain()


@pytest.mark.parametrize("flood", FLOODS)
async def test_a_flood_ends_its_connection(connect: Connect, flood: str) -> None:
    beginning, more = FLOODS[flood]
    _, writer = await connect()
    writer.write(beginning)
    with pytest.raises(ConnectionError):
        await pour(writer, more)


LARGE_HEADS = {
    "headers": (b"", b"a:\r\n" * (MOST_HEADERS - 2), b"a:\r\n"),
    "a path": (b"x" * (MOST_TARGET_BYTES - len("/acme")), b"", b""),
}
"""Name → the end of a path and the headers, as large as they may be, and one more header; without it, the path grows."""


@pytest.mark.parametrize("large", LARGE_HEADS)
async def test_heads_are_bounded(connect: Connect, large: str, request: pytest.FixtureRequest) -> None:
    """With h11, the middleware refuses them."""
    path, headers, more = LARGE_HEADS[large]
    for a_path, some_headers in ((path, headers), (path + (b"" if more else b"x"), headers + more)):
        reader, writer = await connect()
        writer.write(b"POST /acme" + a_path + b" HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n" + some_headers + b"\r\n")
        refused = (a_path, some_headers) != (path, headers) and request.node.callspec.params["connect"] == "httptools"
        async with in_time():
            assert (await reader.readline()).split()[1] == (b"400" if refused else b"200")


async def test_a_large_body_gives_no_room_to_trailers(connect: Connect) -> None:
    reader, writer = await connect()
    writer.write(HEAD + b"400000\r\n" + b"x" * 0x400000 + b"\r\n0\r\n" + b"x-name: value\r\n" * 40_000 + b"\r\n")
    told = b""
    with suppress(ConnectionError):
        async with in_time():
            told = await reader.read()
    assert not told.startswith(b"HTTP/1.1 200")


async def answered(reader: asyncio.StreamReader) -> bytes:
    """Return the body of the next answer."""
    async with in_time():
        head = await reader.readuntil(b"\r\n\r\n")
        return await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))


def chunked(body: bytes, size: int) -> bytes:
    """Return a body in chunks of `size` bytes, with trailers."""
    chunks = (body[start : start + size] for start in range(0, len(body), size))
    return HEAD + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\nx-sum: 1\r\n\r\n"


BODY = bytes(range(256)) * 2_000


async def test_small_chunks_and_large_bodies_are_no_flood(connect: Connect) -> None:
    reader, writer = await connect()
    whole = b"POST /acme HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY
    for request in (chunked(BODY, 8), whole, chunked(BODY, 8), chunked(b"x" * 9_000, 1), chunked(BODY, len(BODY))):
        writer.write(request)
        assert await answered(reader) in (BODY, b"x" * 9_000)


async def test_requests_may_come_before_the_answers_of_others(connect: Connect) -> None:
    reader, writer = await connect()
    writer.write(chunked(BODY, 100_000) * 4)
    for _ in range(4):
        assert await answered(reader) == BODY


class _Account:
    """An account that owes a rest at each charge."""

    def __init__(self) -> None:
        self.charges = 0
        self.owed = 0.001

    def charge(self, seconds: float) -> None:
        """Count."""
        assert seconds > 0
        self.charges += 1


async def test_reading_that_takes_long_is_charged_and_rests(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    accounts: dict[str, _Account] = {}
    monkeypatch.setattr(bounded_reading, "account_of", lambda tenant: accounts.setdefault(tenant, _Account()))
    monkeypatch.setattr(bounded_reading, "_FREE_SECONDS", 0.0)
    reader, writer = await connect()
    writer.write(chunked(BODY, 16))
    assert await answered(reader) == BODY
    pieces = len(chunked(BODY, 16)) // bounded_reading._PIECE_BYTES
    unknown, known = accounts.pop("callers without a key"), accounts.pop("acme")
    assert pieces <= unknown.charges + known.charges
    assert known.charges > unknown.charges
    assert not accounts


async def test_a_request_that_is_read_at_once_is_free(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    charged: list[str] = []
    monkeypatch.setattr(bounded_reading, "account_of", charged.append)
    monkeypatch.setattr(bounded_reading, "thread_time", lambda: 0.0)
    reader, writer = await connect()
    for _ in range(3):
        writer.write(chunked(BODY, 1_000))
        assert await answered(reader) == BODY
    assert not charged


async def test_an_answer_that_is_not_read_is_buffered_in_small_part(connect: Connect) -> None:
    _, writer = await connect()
    writer.write(b"GET /acme HTTP/1.1\r\nhost: a\r\n\r\n")

    async def waits() -> bool:
        return bool(unread) and _exchange(unread[-1]).flow.write_paused

    await wait_until_async(waits, "the answer waits for its reader")
    overhead = 1_024
    assert _exchange(unread.pop()).transport.get_write_buffer_size() <= WRITE_BYTES + PIECE_BYTES + overhead
