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

from turnstile.turns.text import loads
from turnstile.workers.budgets.gate import BegunCall, current
from turnstile.workers.chains.openai.chunks import DONE, Chunk, merged, parsed
from turnstile.workers.chains.openai.refusals import HeldRefusal, speak_refusal

FLUSH_SECONDS = 0.1
DRAIN_SECONDS = 0.2


class Completions:
    """Stands in for the SDK's `chat.completions`: dictionaries in, dictionaries out."""

    def __init__(self, client: openai.AsyncOpenAI, http: httpx2.AsyncClient) -> None:
        self._client = client
        self._http = http
        self._url = client.base_url.join("chat/completions")
        # A model has a budget of its own at each address, and with each key.
        self._server = f"{client.base_url} {client.api_key}"
        # Put together once: merging them anew costs more than sending a request.
        headers = {name: value for name, value in client.default_headers.items() if isinstance(value, str)}
        sample = http.build_request("POST", self._url, headers=headers)
        self._headers = [(name, value) for name, value in sample.headers.raw if name.lower() != b"content-length"]
        self._extensions = sample.extensions

    async def create(self, *, extra_body: Mapping[str, Any] | None = None, **body: Any) -> "dict[str, Any] | Deltas":
        """POST a chat completion.

        Raises:
            openai.APIError: as the SDK's own method.
        """
        body.update(extra_body or {})
        content, stream = to_json(body), bool(body.get("stream"))
        gate = current.get()
        call = await gate.enter(self._server, str(body.get("model")), len(content), _most_tokens(body)) if gate else None
        try:
            response = await self._send(content, stream=stream)
        except BaseException as error:
            if call:
                await call.failed(error)
            raise
        if call:
            call.heard(response.headers)
        return Deltas(response, call) if stream else _whole(response, call)

    async def _send(self, content: bytes, *, stream: bool) -> httpx2.Response:
        headers = [*self._headers, (b"Content-Length", str(len(content)).encode())]
        body = httpx2.ByteStream(content)
        request = httpx2.Request("POST", self._url, headers=headers, stream=body, extensions=self._extensions)
        request.read()
        try:
            response = await self._http.send(request, stream=stream)
            if not response.is_success:
                await response.aread()
        except httpx2.TimeoutException as error:
            raise openai.APITimeoutError(request) from error
        except httpx2.RequestError as error:
            raise openai.APIConnectionError(request=request) from error
        if not response.is_success:
            raise self._client._make_status_error_from_response(response)
        return response


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
    what comes after a chunk costs the same however few tokens it holds. Use it as a context manager; leaving it drops
    the connection.
    """

    def __init__(self, response: httpx2.Response, call: BegunCall | None = None) -> None:
        self._response = response
        self._call = call
        self._refusal = HeldRefusal()
        self._ended = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._call:
            self._call.ended()
        await self._response.aclose()

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        """Yield chunks.

        Raises:
            openai.APIError: the connection broke, went silent, or the server reported an error.
        """
        request = self._response.request
        try:
            async for chunk in self._chunks():
                if chunk.get("error"):
                    raise _reported(chunk["error"], request)
                if self._call and chunk.get("usage"):
                    self._call.used(chunk["usage"])
                yield chunk
        except httpx2.TimeoutException as error:
            raise openai.APITimeoutError(request) from error
        except (httpx2.RequestError, ValueError) as error:
            raise openai.APIConnectionError(request=request) from error
        if not self._ended:
            raise openai.APIConnectionError(message="The answer broke off.", request=request)

    async def _chunks(self) -> AsyncIterator[Chunk]:
        reads, rest, heard = self._response.aiter_bytes(), b"", False
        async for data in reads:
            *lines, rest = (rest + data).split(b"\n")
            finished = False
            for chunk in merged(map(self._refusal.hold, parsed(lines))):
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
            if heard:
                await asyncio.sleep(FLUSH_SECONDS)


def _says_something(choice: Mapping[str, Any]) -> bool:
    return any(value for name, value in (choice.get("delta") or {}).items() if name != "role")


async def _drain(reads: AsyncIterator[bytes]) -> None:
    """Read to the end of the body: only then can the connection be used again."""
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            async for _ in reads:
                pass
    except (TimeoutError, httpx2.RequestError):
        return
