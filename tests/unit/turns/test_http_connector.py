"""A connection ends when the server sends too much beside its answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from tests.support.flooding import FLOODS, flooding
from turnstile.turns.http_connector import MOST_HEAD_BYTES, MOST_SPARE_BYTES, BoundedConnector


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=BoundedConnector(), timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield session


@pytest.mark.parametrize("flood", FLOODS)
async def test_a_flood_ends_its_connection(http: aiohttp.ClientSession, flood: str) -> None:
    async with flooding(flood) as url:
        with pytest.raises(aiohttp.ClientError):
            await (await http.get(url)).read()
    assert not http._connector._acquired  # type: ignore[union-attr]


@asynccontextmanager
async def serving(*sent: bytes) -> AsyncIterator[str]:
    """Yield the URL of a server that sends these bytes, for each request that comes over a connection."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            await reader.readuntil(b"\r\n\r\n")
            for part in sent:
                writer.write(part)
                await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        server.close()


HINT = b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload; as=style\r\n\r\n"
EVENT = b'data: {"choices": []}\n\n'


async def test_hints_and_small_chunks_are_no_flood(http: aiohttp.ClientSession) -> None:
    chunk = b"%x\r\n%b\r\n" % (len(EVENT), EVENT)
    many = 5 * MOST_SPARE_BYTES // len(chunk)
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    async with serving(HINT * 100, head, chunk * many, b"0\r\n\r\n") as url:
        for _ in range(2):  # over one connection
            answer = await http.get(url)
            assert await answer.read() == EVENT * many


async def test_hints_have_less_room_than_what_comes_with_a_body(http: aiohttp.ClientSession) -> None:
    async with serving(HINT * (2 * MOST_HEAD_BYTES // len(HINT))) as url:
        with pytest.raises(aiohttp.ClientPayloadError):
            await http.get(url, timeout=aiohttp.ClientTimeout(total=30))


async def test_an_answer_may_be_large_and_come_at_once(http: aiohttp.ClientSession) -> None:
    body = b"x" * (4 * MOST_SPARE_BYTES)
    async with serving(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)) as url:
        for _ in range(2):
            assert await (await http.get(url)).read() == body


async def test_a_large_answer_waits_for_its_reader(http: aiohttp.ClientSession) -> None:
    body = b"x" * (4 * MOST_SPARE_BYTES)
    async with serving(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)) as url:
        answer = await http.get(url)
        taken = bytearray()
        while piece := await answer.content.read(65_536):
            taken += piece
            await asyncio.sleep(0)
        assert taken == body


async def test_a_compressed_answer_is_no_flood(http: aiohttp.ClientSession) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_compression(web.ContentCoding.gzip)
        await response.prepare(request)
        for _ in range(200):
            await response.write(b" " * MOST_HEAD_BYTES)
        return response

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    answered = await http.get(f"http://127.0.0.1:{runner.addresses[0][1]}/", headers={"accept-encoding": "gzip"})
    assert len(await answered.read()) == 200 * MOST_HEAD_BYTES
    await runner.cleanup()
