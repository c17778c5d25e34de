"""Bodies of a model's server, read within bounds: a broken or hostile server must not stop a worker, or fill its memory."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import httpx2
import openai

MOST_ANSWER_BYTES = 67_108_864
"""Of a streamed answer, decoded."""
MOST_WHOLE_BYTES = 16_777_216
"""Of an answer that is not streamed, decoded: it is parsed in one go."""
MOST_LINE_BYTES = 4_194_304
"""Of one line of a stream."""
MOST_ERROR_BYTES = 65_536
"""Of an error's body; the rest is not read."""
PIECE_BYTES = 16_384
BROKEN = (httpx2.RequestError, aiohttp.ClientError)
"""Errors of a connection that broke: the SDK's transport translates most of aiohttp's, but not all."""
NOT_READABLE = (ValueError, TypeError, AttributeError, LookupError)
"""Errors of reading JSON of another form than a completion's."""
_OF_THE_WIRE = ("content-encoding", "content-length", "transfer-encoding")


class BrokenAnswer(ValueError):
    """An answer is larger than any, or encoded beyond reason. The message quotes nothing of it."""


def no_completion(request: httpx2.Request) -> openai.APIError:
    """Return the error for an answer of another form: that of a broken connection, against which another attempt may help."""
    return openai.APIConnectionError(message="The answer is no completion.", request=request)


def reported(error: object, request: httpx2.Request) -> openai.APIError:
    """Return the error that a server reports in the place of an answer."""
    return openai.APIError("The model's server reported an error.", request, body=error)


async def pieces(response: httpx2.Response, most: int) -> AsyncIterator[bytes]:
    """Yield a body, decoded, in pieces of `PIECE_BYTES` at most.

    Raises:
        BrokenAnswer: it has more than `most` bytes, or more than one encoding.
        httpx2.RequestError: the connection broke, or went silent.
    """
    if len(response.headers.get_list("content-encoding", split_commas=True)) > 1:
        # One encoding is decoded in small pieces. One inside another may take seconds before the first.
        raise BrokenAnswer("The answer has several encodings.")
    size = 0
    async for data in response.aiter_bytes():
        size += len(data)
        if size > most:
            raise BrokenAnswer(f"The answer has more than {most:,} bytes.")
        if len(data) <= PIECE_BYTES:
            yield data
            continue
        for start in range(0, len(data), PIECE_BYTES):
            yield data[start : start + PIECE_BYTES]


async def whole(response: httpx2.Response) -> httpx2.Response:
    """Return a response with its body. Raises as `pieces` does."""
    return await _read(response, MOST_WHOLE_BYTES, MOST_WHOLE_BYTES)


async def beginning(response: httpx2.Response) -> httpx2.Response:
    """Return a response with the first `MOST_ERROR_BYTES` of its body. Raises as `pieces` does."""
    return await _read(response, MOST_WHOLE_BYTES, MOST_ERROR_BYTES)


async def _read(response: httpx2.Response, most: int, wanted: int) -> httpx2.Response:
    content = bytearray()
    try:
        async for piece in pieces(response, most):
            content += piece
            if len(content) > wanted:
                break
            await asyncio.sleep(0)
    finally:
        await response.aclose()
    headers = [(name, value) for name, value in response.headers.multi_items() if name.lower() not in _OF_THE_WIRE]
    return httpx2.Response(response.status_code, headers=headers, content=bytes(content[:wanted]), request=response.request)


class Lines:
    """The lines of a stream that comes in pieces. A line's work grows with its bytes, however many pieces it has."""

    def __init__(self) -> None:
        self._begun = bytearray()

    def of(self, piece: bytes) -> list[bytes]:
        """Return the lines that end in a piece. Raises BrokenAnswer for a line of more than `MOST_LINE_BYTES`."""
        if b"\n" not in piece:
            self._begin(piece)
            return []
        *lines, rest = (bytes(self._begun) + piece if self._begun else piece).split(b"\n")
        self._begun.clear()
        if rest:
            self._begin(rest)
        return lines

    def _begin(self, piece: bytes) -> None:
        self._begun += piece
        if len(self._begun) > MOST_LINE_BYTES:
            raise BrokenAnswer(f"A line of the answer has more than {MOST_LINE_BYTES:,} bytes.")
