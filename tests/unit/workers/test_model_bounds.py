"""Bounds on what a worker reads of a model's server, which may be broken or hostile."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import httpx2
import openai
import pytest
from aiohttp import web

from tests.support.flooding import FLOODS, flooding
from turnstile.turns.settings import Settings
from turnstile.workers.attempt.failures import classify
from turnstile.workers.chains.openai import bodies
from turnstile.workers.chains.openai import deltas as streaming
from turnstile.workers.chains.openai.bodies import BrokenAnswer, Lines
from turnstile.workers.chains.openai.completions import Completions
from turnstile.workers.chains.openai.deltas import Deltas
from turnstile.workers.chains.openai.model_server import ModelServer

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
SPOKEN = b'data: {"choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}]}\n\n'
WHOLE = b'{"choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}]}'
DONE = b"data: [DONE]\n\n"
COMMENT = b": nothing is said yet\n\n" * 700


class Ready(httpx2.AsyncByteStream):
    """A body of which each piece is there before it is asked for, so that reading it lets nothing else run."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


def deltas(*pieces: bytes, **headers: str) -> Deltas:
    request = httpx2.Request("POST", "http://model.test")
    as_sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return Deltas(httpx2.Response(200, headers=as_sent, stream=Ready(pieces), request=request))


async def texts(answer: Deltas) -> list[Any]:
    return [chunk["choices"][0]["delta"].get("content") async for chunk in answer]


@asynccontextmanager
async def asking(answer: Answer) -> AsyncIterator[Completions]:
    """Yield the completions of a server that answers so."""
    app = web.Application()
    app.router.add_post("/v1/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    settings = Settings()
    asked = Completions(settings, ModelServer(settings, f"http://127.0.0.1:{runner.addresses[0][1]}/v1", "none"), {})
    try:
        yield asked
    finally:
        await asked.close()
        await runner.cleanup()


def endless(status: int, piece: bytes, **headers: str) -> Answer:
    """Answer with a piece that is sent for ever."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers=headers)
        await response.prepare(request)
        while True:
            await response.write(piece)

    return answer


async def ask(asked: Completions, *, stream: bool = False) -> Any:
    return await asked.create(model="m", messages=[{"role": "user", "content": "hello"}], stream=stream)


def broken(error: BaseException) -> bool:
    """Return whether an error is that of a broken connection, for which a turn tries again, as often as it may."""
    failure = classify(error)
    return (failure.code, failure.retryable, failure.away) == ("model_unreachable", True, False)


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_lines_are_the_same_however_they_are_cut(size: int) -> None:
    stream = SPOKEN + b"\r\n\n" + b"x" * 50 + b"\n" + DONE
    lines = Lines()
    found = [line for start in range(0, len(stream), size) for line in lines.of(stream[start : start + size])]
    assert found == stream.split(b"\n")[:-1]


def test_a_line_without_end_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MOST_LINE_BYTES", 100)
    lines = Lines()
    assert lines.of(b"x" * 60 + b"\n" + b"y" * 60) == [b"x" * 60]
    with pytest.raises(BrokenAnswer):
        lines.of(b"y" * 60)


async def test_a_stream_without_a_line_break_ends_as_a_broken_connection() -> None:
    async with asking(endless(200, b"x" * 1_000_000)) as asked:
        with pytest.raises(openai.APIError) as caught:
            await texts(await ask(asked, stream=True))
    assert broken(caught.value)


@pytest.mark.parametrize("said", [b"", SPOKEN])
async def test_a_stream_without_end_ends_as_a_broken_connection(monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    monkeypatch.setattr(streaming, "MOST_ANSWER_BYTES", 20 * len(COMMENT))
    monkeypatch.setattr(streaming, "FLUSH_SECONDS", 0.001)
    with pytest.raises(openai.APIError) as caught:
        await texts(deltas(said, *[COMMENT] * 30))
    assert broken(caught.value)


async def test_a_whole_answer_without_end_ends_as_a_broken_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MOST_WHOLE_BYTES", 1_000_000)
    async with asking(endless(200, b" " * 65_536)) as asked:
        with pytest.raises(openai.APIError) as caught:
            await ask(asked)
    assert broken(caught.value)


@pytest.mark.parametrize("stream", [False, True])
async def test_of_an_error_the_beginning_is_read(stream: bool) -> None:
    async with asking(endless(429, b"z" * 65_536, **{"retry-after": "7"})) as asked:
        with pytest.raises(openai.RateLimitError) as caught:
            await ask(asked, stream=stream)
    assert len(str(caught.value.body)) == bodies.MOST_ERROR_BYTES
    assert classify(caught.value).retry_after == 7


async def test_the_body_of_a_redirect_is_not_read() -> None:
    flood = endless(307, b"z" * 65_536, location="/v1/elsewhere")

    async def answer(request: web.Request) -> web.StreamResponse:
        return await flood(request) if "chat" in request.path else web.Response(body=WHOLE)

    async with asking(answer) as asked:
        assert (await ask(asked))["choices"][0]["message"]["content"] == "hi"


async def test_redirects_without_end_are_a_broken_connection() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"location": str(request.url)})

    async with asking(answer) as asked:
        with pytest.raises(openai.APIError) as caught:
            await ask(asked)
    assert broken(caught.value)


async def test_no_encoding_is_asked_for_and_one_is_read_all_the_same() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.headers["accept-encoding"] == "identity"
        return web.Response(body=gzip.compress(WHOLE), headers={"content-encoding": "gzip"})

    async with asking(answer) as asked:
        assert (await ask(asked))["choices"][0]["message"]["content"] == "hi"


async def test_several_encodings_are_broken() -> None:
    packed = gzip.compress(gzip.compress(SPOKEN + DONE))
    with pytest.raises(openai.APIError) as caught:
        await texts(deltas(packed, content_encoding="gzip, gzip"))
    assert broken(caught.value)


@pytest.mark.parametrize("piece", [COMMENT, b"\n" * 16_384, b"x" * 16_384], ids=["comments", "empty lines", "one line"])
async def test_others_run_between_reads_that_tell_nothing(piece: bytes) -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    running = asyncio.create_task(others())
    assert await texts(deltas(*[piece] * 50, b"\n" + SPOKEN + DONE)) == ["hi"]
    running.cancel()
    assert turns >= 50


async def test_a_server_that_tells_nothing_for_long_is_read_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "QUIET_READS", 10)
    monkeypatch.setattr(streaming, "FLUSH_SECONDS", 0.01)
    began = monotonic()
    await texts(deltas(*[COMMENT] * 30, SPOKEN + DONE))
    assert monotonic() - began >= 19 * 0.01  # at least so long on a machine of any speed


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("flood", FLOODS)
async def test_a_flood_beside_the_answer_ends_as_a_broken_connection(flood: str, stream: bool) -> None:
    settings = Settings()
    async with flooding(flood) as url:
        asked = Completions(settings, ModelServer(settings, url, "none"), {})

        async def read() -> None:
            await texts(await ask(asked, stream=stream))

        with pytest.raises(openai.APIError) as caught:
            await read()
        await asked.close()
    assert broken(caught.value)
