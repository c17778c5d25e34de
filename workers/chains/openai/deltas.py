"""A streamed completion, read chunk by chunk, within bounds."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Self

import httpx2
import openai

from turnstile.workers.budgets.gate import BegunCall
from turnstile.workers.chains.openai.bodies import (
    BROKEN,
    MOST_ANSWER_BYTES,
    NOT_READABLE,
    BrokenAnswer,
    Lines,
    no_completion,
    pieces,
    reported,
)
from turnstile.workers.chains.openai.chunks import DONE, Chunk, merged, parsed
from turnstile.workers.chains.openai.refusals import HeldRefusal
from turnstile.workers.chains.openai.usage import LatestUsage

FLUSH_SECONDS = 0.1
DRAIN_SECONDS = 0.2
QUIET_READS = 256
"""Reads that tell nothing, or only go on with a line, after which an answer is read no faster than one with text."""
MOST_CHUNKS = 50_000
"""Chunks of an answer that tell something and go on with no other one. LangChain keeps each, in about 3 kB."""
MOST_CALLS = 1_000
"""Calls of tools in an answer. LangChain compares each with all others."""
_DRAINED_READS = 8


class Deltas:
    """A streamed completion, chunk by chunk.

    Text that arrived together comes as one chunk, and after the first text at most one read is made in `FLUSH_SECONDS`:
    what comes after a chunk costs the same however few tokens it holds. The same goes for a server that says nothing for
    `QUIET_READS`. Use it as a context manager; leaving it drops the connection.
    """

    def __init__(self, response: httpx2.Response, call: BegunCall | None = None) -> None:
        self._response = response
        self._call = call
        self._refusal = HeldRefusal()
        self._usage = LatestUsage()
        self._ended = False
        self._yielded = 0
        self._calls: set[tuple[Any, Any]] = set()
        self._reading: AsyncIterator[Chunk] | None = None

    async def begun(self) -> Self:
        """Read the first chunk, and return this; it is yielded with the others. Raises openai.APIError."""
        reading = self._read()
        try:
            first = await anext(reading, None)
        except BaseException:
            await self.__aexit__()
            raise
        self._reading = _chained(first, reading) if first else reading
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._call:
            self._call.ended()
        await self._response.aclose()

    def __aiter__(self) -> AsyncIterator[Chunk]:
        return self._reading or self._read()

    async def _read(self) -> AsyncIterator[Chunk]:
        """Yield chunks.

        Raises:
            openai.APIError: the connection broke, went silent, or the server reported an error.
        """
        request = self._response.request
        try:
            async for chunk in self._chunks():
                if chunk.get("error"):
                    raise reported(chunk["error"], request)
                if self._call:
                    self._call.said(choice.get("delta") or {} for choice in chunk.get("choices") or ())
                yield chunk
        except httpx2.TimeoutException as error:
            raise openai.APITimeoutError(request) from error
        except BROKEN as error:
            raise openai.APIConnectionError(request=request) from error
        except NOT_READABLE:
            raise no_completion(request) from None
        if not self._ended:
            raise openai.APIConnectionError(message="The answer broke off.", request=request)
        if self._usage.chunk:
            yield self._usage.chunk

    async def _chunks(self) -> AsyncIterator[Chunk]:
        reads, lines, heard, quiet = pieces(self._response, MOST_ANSWER_BYTES), Lines(), False, 0
        async for data in reads:
            finished = False
            for chunk in merged(map(self._refusal.hold, map(self._usage.hold, parsed(lines.of(data))))):
                finished |= chunk is DONE
                if chunk is not DONE:
                    choices = chunk.get("choices") or ()
                    says, ends = any(map(_says_something, choices)), any(map(_ends, choices))
                    heard |= says
                    self._ended |= ends
                    if says or ends or chunk.get("error") or not self._yielded:
                        self._count(choices)
                        yield chunk
            if self._call:
                self._call.used(self._usage.chunk.get("usage"))
            if finished:
                self._ended = True
                for chunk in self._refusal.rest():
                    yield chunk
                await _drain(reads)
                return
            quiet += not heard
            # A read of data that waits already does not let others run.
            await asyncio.sleep(FLUSH_SECONDS if heard or quiet > QUIET_READS else 0)

    def _count(self, choices: Iterable[Mapping[str, Any]]) -> None:
        self._yielded += 1
        for choice in choices:
            for call in (choice.get("delta") or {}).get("tool_calls") or ():
                self._calls.add((call.get("index"), call.get("id")))
        if self._yielded > MOST_CHUNKS or len(self._calls) > MOST_CALLS:
            raise BrokenAnswer("The answer has too many chunks, or calls.")


async def _chained(first: Chunk, following: AsyncIterator[Chunk]) -> AsyncIterator[Chunk]:
    yield first
    async for chunk in following:
        yield chunk


def _says_something(choice: Mapping[str, Any]) -> bool:
    return bool(choice.get("logprobs")) or any(value for name, value in (choice.get("delta") or {}).items() if name != "role")


def _ends(choice: Mapping[str, Any]) -> bool:
    reason = choice.get("finish_reason")
    if reason is not None and not isinstance(reason, str):
        raise BrokenAnswer("A finish reason is no text.")
    return bool(reason)


async def _drain(reads: AsyncIterator[bytes]) -> None:
    """Read to the end of the body: only then can the connection be used again."""
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            for _ in range(_DRAINED_READS):
                if await anext(reads, None) is None:
                    return
    except (TimeoutError, *BROKEN, ValueError):
        return
