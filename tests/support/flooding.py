"""A server that answers each request with a beginning, and then with the same bytes for as long as somebody takes them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"

FLOODS = {
    "interim responses": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "early hints": (b"", b"HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n"),
    "a head": (b"HTTP/1.1 200 OK\r\n", b"x-name: value\r\n"),
    "a line of a head": (b"HTTP/1.1 200 OK\r\nx-name: ", b"value"),
    "chunks of a byte": (HEAD, b"1\r\n:\r\n"),
    "an extension of a chunk": (HEAD + b"1;", b"name=value;"),
    "a size of a chunk": (HEAD, b"0"),
    "trailers": (HEAD + b"0\r\n", b"x-name: value\r\n"),
}
"""Name → the beginning, and what follows without end. No body comes to an end."""


@asynccontextmanager
async def flooding(flood: str) -> AsyncIterator[str]:
    """Yield the URL of a server that answers so."""
    beginning, more = FLOODS[flood]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(beginning)
            while True:
                writer.write(more * (16_384 // len(more)))
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
