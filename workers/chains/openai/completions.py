"""`chat.completions` without the typed objects of the `openai` package.

The package rebuilds every message of a request and every chunk of an answer as a typed object, and prepares each request
anew. That is most of the cost of a call, it grows with each message (bench/parts.py measures it), and nothing here uses the
types. This class passes the same dictionaries on as they are; connections, keys, errors and timeouts stay the package's.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Self

import httpx2
import openai
from pydantic_core import to_json

from turnstile.turns.settings import Settings
from turnstile.turns.text import loads
from turnstile.turns.token_estimate import prompt_tokens
from turnstile.workers.budgets.gate import BegunCall, Gate, OverBudget, current
from turnstile.workers.chains.openai.bodies import MOST_ANSWER_BYTES, Lines, pieces
from turnstile.workers.chains.openai.chunks import DONE, Chunk, merged, parsed
from turnstile.workers.chains.openai.fallback import Fallback
from turnstile.workers.chains.openai.model_server import ModelServer
from turnstile.workers.chains.openai.refusals import HeldRefusal, speak_refusal

FLUSH_SECONDS = 0.1
DRAIN_SECONDS = 0.2
QUIET_READS = 256
"""Reads that tell nothing, or only go on with a line, after which an answer is read no faster than one with text."""
_DRAINED_READS = 8


class Completions:
    """Stands in for the SDK's `chat.completions`: dictionaries in, dictionaries out."""

    def __init__(self, settings: Settings, server: ModelServer, others: Mapping[str, ModelServer]) -> None:
        """`others`: the servers of models that are not at the usual one."""
        self.models = settings.models
        """The model that is asked, then those that answer in its place."""
        self._server, self._others = server, others
        self._fallback = Fallback(settings, lambda model: self.server_of(model).name)

    def server_of(self, model: str) -> ModelServer:
        """Return the server of a model."""
        return self._others.get(model, self._server)

    async def close(self) -> None:
        """Close the connections to all servers."""
        for server in (self._server, *self._others.values()):
            await server.client.close()

    async def create(self, *, extra_body: Mapping[str, Any] | None = None, **body: Any) -> "dict[str, Any] | Deltas":
        """POST a chat completion, to the model's server, or to that of another model that answers in its place.

        Raises:
            openai.APIError: as the SDK's own method.
            OverBudget: there is no place in the model's budget.
        """
        body.update(extra_body or {})
        model, gate = str(body.get("model")), current.get()
        try:
            if not self._fallback.behind(model):
                return await self._ask(model, body, gate)
            return await self._fallback.answer(model, lambda other: self._begin(other, body, gate), gate)
        except OverBudget as error:
            if gate:
                gate.refuse(error)
            raise

    async def _begin(self, model: str, body: Mapping[str, Any], gate: Gate | None) -> "dict[str, Any] | Deltas":
        """Ask a model up to the first piece of its answer. A server that asks for patience raises OverBudget."""
        answer = await self._ask(model, {**body, "model": model}, gate, falls_back=True)
        return await answer.begun() if isinstance(answer, Deltas) else answer

    async def _ask(
        self, model: str, body: Mapping[str, Any], gate: Gate | None, *, falls_back: bool = False
    ) -> "dict[str, Any] | Deltas":
        server = self.server_of(model)
        content, stream = to_json(body), bool(body.get("stream"))
        call: BegunCall | None = None
        if gate:
            prompt = prompt_tokens(content, body.get("messages"))
            call = await gate.enter(server.name, model, prompt, _most_tokens(body), falls_back=falls_back)
        try:
            response = await server.complete(content, stream=stream)
        except BaseException as error:
            if call and (over := await call.failed(error)) and falls_back:
                raise over from error
            raise
        if call:
            call.heard(response.headers)
        return Deltas(response, call) if stream else _whole(response, call)


def _most_tokens(body: Mapping[str, Any]) -> int | None:
    most = body.get("max_completion_tokens") or body.get("max_tokens")
    return most if type(most) is int else None


def _whole(response: httpx2.Response, call: BegunCall | None) -> dict[str, Any]:
    try:
        answer = _checked(response)
        if call:
            call.used(answer.get("usage"))
        return answer
    finally:
        if call:
            call.ended()


def _checked(response: httpx2.Response) -> dict[str, Any]:
    try:
        answer = loads(response.content)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or not (answer.get("choices") or answer.get("error")):
        raise openai.APIConnectionError(message="The answer is no completion.", request=response.request)
    if answer.get("error"):
        raise _reported(answer["error"], response.request)
    for choice in answer["choices"]:
        speak_refusal(choice)
    return answer


def _reported(error: object, request: httpx2.Request) -> openai.APIError:
    return openai.APIError("The model's server reported an error.", request, body=error)


class Deltas:
    """A streamed completion, chunk by chunk.

    Text that arrived together comes as one chunk, and after the first text at most one read is made in `FLUSH_SECONDS`:
    what comes after a chunk costs the same however few tokens it holds. The same goes for a server that says nothing for
    `QUIET_READS`. Use it as a context manager; leaving it drops
    the connection.
    """

    def __init__(self, response: httpx2.Response, call: BegunCall | None = None) -> None:
        self._response = response
        self._call = call
        self._refusal = HeldRefusal()
        self._ended = False
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
                    raise _reported(chunk["error"], request)
                if self._call:
                    self._call.said(choice.get("delta") or {} for choice in chunk.get("choices") or ())
                    self._call.used(chunk.get("usage"))
                yield chunk
        except httpx2.TimeoutException as error:
            raise openai.APITimeoutError(request) from error
        except (httpx2.RequestError, ValueError) as error:
            raise openai.APIConnectionError(request=request) from error
        if not self._ended:
            raise openai.APIConnectionError(message="The answer broke off.", request=request)

    async def _chunks(self) -> AsyncIterator[Chunk]:
        reads, lines, heard, quiet = pieces(self._response, MOST_ANSWER_BYTES), Lines(), False, 0
        async for data in reads:
            finished = False
            for chunk in merged(map(self._refusal.hold, parsed(lines.of(data)))):
                finished |= chunk is DONE
                if chunk is not DONE:
                    heard |= any(map(_says_something, chunk.get("choices") or ()))
                    self._ended |= any(choice.get("finish_reason") for choice in chunk.get("choices") or ())
                    yield chunk
            if finished:
                self._ended = True
                for chunk in self._refusal.rest():
                    yield chunk
                await _drain(reads)
                return
            quiet += not heard
            # Where data waits already, the next read does not let others run.
            await asyncio.sleep(FLUSH_SECONDS if heard or quiet > QUIET_READS else 0)


async def _chained(first: Chunk, following: AsyncIterator[Chunk]) -> AsyncIterator[Chunk]:
    yield first
    async for chunk in following:
        yield chunk


def _says_something(choice: Mapping[str, Any]) -> bool:
    return any(value for name, value in (choice.get("delta") or {}).items() if name != "role")


async def _drain(reads: AsyncIterator[bytes]) -> None:
    """Read to the end of the body: only then can the connection be used again."""
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            for _ in range(_DRAINED_READS):
                if await anext(reads, None) is None:
                    return
    except (TimeoutError, httpx2.RequestError, ValueError):
        return
