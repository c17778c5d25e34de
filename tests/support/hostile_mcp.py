"""An MCP server that answers calls of its tools with floods and broken results: `python -m tests.support.hostile_mcp PORT`."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from tests.support.flooding import FLOODS as HTTP_FLOODS

_EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
_JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
_CHUNKED = b"transfer-encoding: chunked\r\n\r\n"
_NOTIFICATION = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "q" * 200}}


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _filled(data: bytes) -> bytes:
    return _chunk(data * (65_536 // len(data)))


FLOODS = {
    **{name.replace(" ", "_"): (beginning, more * (16_384 // len(more))) for name, (beginning, more) in HTTP_FLOODS.items()},
    "json": (_JSON + _CHUNKED, _filled(b" ")),
    "line": (_EVENTS + _CHUNKED + _chunk(b"data: "), _filled(b"d")),
    "lines": (_EVENTS + _CHUNKED, _filled(b"data:\n")),
    "comments": (_EVENTS + _CHUNKED, _filled(b": x\n\n")),
    "blank_lines": (_EVENTS + _CHUNKED, _filled(b"\n")),
    "places": (_EVENTS + _CHUNKED, _filled(b"id: 1\n\n")),
    "strange_events": (_EVENTS + _CHUNKED, _filled(b"event: x\ndata: x\n\n")),
    "notifications": (_EVENTS + _CHUNKED, _filled(b"data: " + json.dumps(_NOTIFICATION).encode() + b"\n\n")),
    "pings": (_EVENTS + _CHUNKED, _filled(b'data: {"jsonrpc": "2.0", "id": 7, "method": "ping"}\n\n')),
    "chunks_of_a_byte_in_events": (_EVENTS + _CHUNKED, b"1\r\n:\r\n" * 4_096),
}
"""Tool → the beginning of its answer, and what follows without end."""


def _text(text: str) -> str:
    return json.dumps({"content": [{"type": "text", "text": text}]})


RESULTS = {
    "fine": _text("fine"),
    "large": _text("z" * 15_000_000),
    "deep": "[" * 200_000 + "]" * 200_000,
    "deep_inside": '{"content": [], "structuredContent": {"x": ' + "[" * 100 + "]" * 100 + "}}",
    "wide": '{"content": [], "structuredContent": {"x": [' + "0," * 1_000_000 + "0]}}",
    "half_a_pair": '{"content": [{"type": "text", "text": "\\ud800"}]}',
    "no_object": "7",
    "no_content": '{"content": 7}',
    "no_json": "{",
}
"""Tool → the result in its answer, as JSON."""


def _sized(head: bytes, body: bytes) -> bytes:
    return b"%scontent-length: %d\r\n\r\n%s" % (head, len(body), body)


WHOLE = {
    "compressed": _sized(_JSON + b"content-encoding: gzip\r\n", b"x"),
    "a_page": _sized(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n", b"x"),
    "another_id": _sized(_JSON, b'{"jsonrpc": "2.0", "id": 999, "result": {}}'),
    "another_id_in_events": _sized(_EVENTS, b'data: {"jsonrpc": "2.0", "id": 999, "result": {}}\n\n'),
    "a_notification": _sized(_JSON, json.dumps(_NOTIFICATION).encode()),
    "a_beginning": _JSON + b"content-length: 90\r\n\r\n{",
    "a_beginning_of_events": _EVENTS + b"content-length: 90\r\n\r\ndata: {",
    "no_events": _sized(_EVENTS, b""),
    "a_place": _sized(_EVENTS, b"id: 1\nretry: 0\n\n"),
}
"""Tool → its whole answer, after which the connection ends."""

RESUMED = "resumed"
"""A tool whose answer breaks off, and is there when its rest is asked for."""
_AT_PLACES = {b"1": WHOLE["a_place"], b"2": _sized(_EVENTS, b'data: {"jsonrpc":"2.0","id":9,"result":{"content":[]}}\n\n')}

# Finding out that the text is not of this pattern takes for ever.
_PATTERN = {"type": "object", "properties": {"x": {"type": "string", "pattern": "^(a+)+$"}}}
RESULTS["slow_pattern"] = json.dumps({"content": [], "structuredContent": {"x": "a" * 60 + "!"}})
TOOLS = (*FLOODS, *RESULTS, *WHOLE)
GOOD = ("fine", "slow_pattern")


def listed(names: tuple[str, ...] = (*TOOLS, RESUMED)) -> list[dict[str, Any]]:
    """Return tools of these names as a server lists them."""
    return [{"name": name, "inputSchema": {"type": "object"}, "outputSchema": _PATTERN} for name in names]


_ANSWERS = {**WHOLE, RESUMED: _sized(_EVENTS, b"id: 2\n\n")}


class HostileServer:
    """Answers one connection after another. `pages`: those of the list of tools, of which the last is repeated."""

    def __init__(self, pages: list[list[dict[str, Any]]]) -> None:
        self.pages = pages
        self.silent_at_end = False
        self._listed = 0
        self._connections: set[asyncio.Task[Any]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of a connection."""
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        # asyncio reports a cancelled handler as a failed one.
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while not writer.is_closing():
                await self._exchange(reader, writer)
        writer.close()
        self._connections.discard(task)

    async def end(self) -> None:
        """End all connections."""
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r")[0] or b"0")
        message = json.loads(await reader.readexactly(length) or b"{}")
        if head.startswith(b"get"):
            place = head.partition(b"last-event-id: ")[2].partition(b"\r")[0]
            writer.write(_AT_PLACES.get(place, b"HTTP/1.1 405 No\r\ncontent-length: 0\r\n\r\n"))
        elif head.startswith(b"delete") and self.silent_at_end:
            await reader.read()
        elif "id" not in message or "method" not in message:
            writer.write(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")
        elif message["method"] == "tools/call":
            await self._call(message, writer)
        else:
            self._answer(message["id"], self._result(message), writer)
        await writer.drain()

    def _result(self, message: dict[str, Any]) -> str:
        if message["method"] == "initialize":
            version = message["params"]["protocolVersion"]
            return json.dumps({"protocolVersion": version, "capabilities": {}, "serverInfo": {"name": "x", "version": "1"}})
        page = min(self._listed, len(self.pages) - 1)
        self._listed = page + 1
        more = {"nextCursor": "more"} if len(self.pages) > 1 else {}
        return json.dumps({"tools": self.pages[page], **more})

    def _answer(self, id_: int, result: str, writer: asyncio.StreamWriter) -> None:
        body = f'{{"jsonrpc": "2.0", "id": {id_}, "result": {result}}}'.encode()
        session = b"mcp-session-id: s1\r\n"
        writer.write(_JSON + session + b"content-length: %d\r\n\r\n" % len(body) + body)

    async def _call(self, message: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        name = message["params"]["name"]
        if name in RESULTS:
            return self._answer(message["id"], RESULTS[name], writer)
        beginning, more = FLOODS.get(name) or (_ANSWERS[name], b"")
        writer.write(beginning)
        while more:
            writer.write(more)
            await writer.drain()
        writer.close()
        return None


@asynccontextmanager
async def hostile_mcp(pages: list[list[dict[str, Any]]] | None = None) -> AsyncIterator[tuple[str, HostileServer]]:
    """Yield the URL of a hostile server, and the server."""
    hostile = HostileServer(pages or [listed()])
    server = await asyncio.start_server(hostile.serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp", hostile
    finally:
        server.close()
        await hostile.end()


async def _serve(port: int) -> None:
    server = await asyncio.start_server(HostileServer([listed()]).serve, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
