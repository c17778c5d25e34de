"""Messages of an MCP server, checked before the library sees them: it waits for ever for an answer that it cannot read."""

import asyncio
import re
from collections.abc import AsyncIterator

from mcp.types import JSONRPCError, JSONRPCMessage, JSONRPCRequest, JSONRPCResponse

from turnstile.turns.bounds import check_structure
from turnstile.turns.errors import InvalidTurn
from turnstile.turns.text import dumps
from turnstile.workers.chains.mcp.reading import BrokenAnswer

MOST_MESSAGE_BYTES = 4_194_304
"""Of one message: an answer that is not streamed, or an event of a stream."""
MOST_REQUESTS = 50
"""Of a server's own requests in one stream: the library answers each."""
_LARGE_BYTES = 65_536
_LINE_BYTES = 64
"""Counted for each line of an event, beside its length."""
_PLACE = {b"id": re.compile(rb"[!-~]{1,1024}"), b"retry": re.compile(rb"\d{1,5}")}
_METHOD = re.compile(r"[\w./-]{1,128}", re.ASCII)

_TOO_LARGE = f"The answer of the tool's server has more than {MOST_MESSAGE_BYTES:,} bytes."
_NO_MESSAGE = "The tool's server sent an answer that cannot be read."
_NO_ANSWER = "The tool's server answered something else than it was asked."

Id = str | int | None
Pieces = AsyncIterator[bytes]


async def whole(pieces: Pieces, asked: Id) -> bytes:
    """Return the body of an answer to the request of this id. Raises BrokenAnswer."""
    content = bytearray()
    async for piece in pieces:
        content += piece
        if len(content) > MOST_MESSAGE_BYTES:
            raise BrokenAnswer(_TOO_LARGE)
    _check_answer(await _parsed(bytes(content)), asked)
    return bytes(content)


class Events:
    """The events of a stream that answers the request of this id; None for a stream that answers none.

    Comments and notifications end here: the library would read each with much more work, and do nothing with it.
    """

    def __init__(self, asked: Id) -> None:
        self.place = b""
        """The event that tells the place from which the server can be asked for the rest; empty where it has told none."""
        self._asked = asked
        self._requests = 0
        self._begun = bytearray()
        self._event: list[bytes] = []
        self._size = 0

    async def of(self, pieces: Pieces) -> AsyncIterator[bytes]:
        """Yield what the library needs of a stream. Raises BrokenAnswer."""
        async for piece in pieces:
            async for needed in self._events(piece):
                yield needed
        # A line that ends with \r, or with nothing, has waited for more.
        async for needed in self._events(b"\n"):
            yield needed

    async def _events(self, piece: bytes) -> AsyncIterator[bytes]:
        for line in self._lines(piece):
            if line:
                self._add(line)
            elif self._event:
                event, self._event, self._size = self._event, [], 0
                if needed := await self._needed(event):
                    yield needed

    def _lines(self, piece: bytes) -> list[bytes]:
        if b"\n" not in piece and b"\r" not in piece:
            self._begin(piece)
            return []
        text = bytes(self._begun) + piece
        self._begun.clear()
        *lines, rest = text.splitlines(keepends=True)
        # A line that ends with \r may go on with \n.
        if rest.endswith(b"\n"):
            lines.append(rest)
        else:
            self._begin(rest)
        return [line.rstrip(b"\r\n") for line in lines]

    def _begin(self, piece: bytes) -> None:
        self._begun += piece
        if len(self._begun) > MOST_MESSAGE_BYTES:
            raise BrokenAnswer(_TOO_LARGE)

    def _add(self, line: bytes) -> None:
        if line.startswith(b":"):
            return
        self._event.append(line)
        self._size += len(line) + _LINE_BYTES
        if self._size > MOST_MESSAGE_BYTES + _LINE_BYTES:
            raise BrokenAnswer(_TOO_LARGE)

    async def _needed(self, event: list[bytes]) -> bytes:
        fields: dict[bytes, list[bytes]] = {}
        for line in event:
            name, _, value = line.partition(b":")
            fields.setdefault(name, []).append(value.removeprefix(b" "))
        data = b"\n".join(fields.get(b"data", ()))
        self._note_place(fields)
        # The library logs a warning for each event of another name.
        return await self._message(data) if data and fields.get(b"event", [b"message"])[-1] == b"message" else b""

    def _note_place(self, fields: dict[bytes, list[bytes]]) -> None:
        told = [name + b": " + fields[name][-1] for name, form in _PLACE.items() if form.fullmatch(fields.get(name, [b""])[-1])]
        if told and told[0].startswith(b"id"):
            self.place = b"\n".join((*told, b"", b""))

    async def _message(self, data: bytes) -> bytes:
        message = await _parsed(data)
        if isinstance(message, JSONRPCRequest):
            return _event(self._request(message))
        if not isinstance(message, JSONRPCResponse | JSONRPCError):
            return b""
        if self._asked is not None:
            _check_answer(message, self._asked)
        return _event(data)

    def _request(self, request: JSONRPCRequest) -> bytes:
        """Return a request without its details: no kind with details is served, and the library would log them."""
        self._requests += 1
        if self._requests > MOST_REQUESTS or not _METHOD.fullmatch(request.method):
            raise BrokenAnswer(_NO_MESSAGE)
        return dumps({"jsonrpc": "2.0", "id": request.id, "method": request.method}).encode()


def _event(message: bytes) -> bytes:
    return b"".join(b"data: " + line + b"\n" for line in message.splitlines()) + b"\n"


def _check_answer(message: object, asked: Id) -> None:
    if not isinstance(message, JSONRPCResponse | JSONRPCError) or str(message.id) != str(asked):
        raise BrokenAnswer(_NO_ANSWER)


async def _parsed(data: bytes) -> object:
    return await asyncio.to_thread(_parse, data) if len(data) > _LARGE_BYTES else _parse(data)


def _parse(data: bytes) -> object:
    try:
        check_structure(data, "answer of the tool's server")
        return JSONRPCMessage.model_validate_json(data).root
    except InvalidTurn as error:
        raise BrokenAnswer(str(error)) from None
    except ValueError:
        raise BrokenAnswer(_NO_MESSAGE) from None
