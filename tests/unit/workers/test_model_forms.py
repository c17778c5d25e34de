"""Answers of a model's server that are JSON, and no completion; and numbers that nobody can have meant."""

import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpx2
import openai
import pytest

from turnstile.producers.gateway.failure import refusal
from turnstile.turns.model_failures import RATE_LIMITED
from turnstile.turns.model_limits import answered, retry_after
from turnstile.turns.server_words import ServerWords
from turnstile.turns.settings import Settings
from turnstile.workers.attempt.failures import classify
from turnstile.workers.chains.load import close_chain, load_chain
from turnstile.workers.chains.openai import deltas as streaming
from turnstile.workers.chains.openai.deltas import Deltas
from turnstile.workers.chains.openai.model_server import ModelServer
from turnstile.workers.chains.run import ChainOutput, run_chain

REQUEST = httpx2.Request("POST", "http://model.test")
SECRET = "Bob's secret"
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


def delta(finish: Any = None, **told: Any) -> dict[str, Any]:
    return {"model": "m", "choices": [{"index": 0, "delta": told, "finish_reason": finish}]}


def body(*chunks: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"


class Pieces(httpx2.AsyncByteStream):
    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


async def read(*pieces: bytes) -> list[dict[str, Any]]:
    return [chunk async for chunk in Deltas(httpx2.Response(200, stream=Pieces(pieces), request=REQUEST))]


async def ask(monkeypatch: pytest.MonkeyPatch, content: bytes, *, stream: bool) -> ChainOutput:
    """Ask the default chain, whose model's server answers so."""

    async def complete(*_: object, **__: object) -> httpx2.Response:
        told = {"stream": Pieces([content])} if stream else {"content": content}
        return httpx2.Response(200, request=REQUEST, **told)

    monkeypatch.setattr(ModelServer, "complete", complete)
    chain = load_chain(Settings(), "http://127.0.0.1:1/v1")
    try:
        return await run_chain(chain, "hello", [], "foo", {}, (lambda _: None) if stream else None)
    finally:
        await close_chain(chain)


@pytest.mark.parametrize(
    "chunk",
    [
        {"choices": SECRET},
        {"choices": 7},
        {"choices": [1]},
        {"choices": [{"delta": SECRET}]},
        {"choices": [{"delta": [1]}]},
        delta(content=5),
        delta(content={"a": SECRET}),
        delta(tool_calls=5),
        delta(tool_calls=[SECRET]),
        delta(tool_calls=[{"index": 0, "function": SECRET}]),
        delta(tool_calls=[{"index": 0, "function": {"name": {}, "arguments": ""}}]),
        delta(refusal=5),
        delta(finish={"a": 1}),
        delta() | {"service_tier": [], "usage": USAGE},
    ],
    ids=str,
)
async def test_a_stream_of_another_form_is_a_broken_connection(monkeypatch: pytest.MonkeyPatch, chunk: Any) -> None:
    with pytest.raises(openai.APIError) as caught:
        await ask(monkeypatch, body(chunk, delta("stop", content="hi")), stream=True)
    failure = classify(caught.value)
    assert (failure.code, failure.retryable, failure.away) == ("model_unreachable", True, False)
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize(
    "answer",
    [
        *([], 5, None, {}, {"choices": SECRET}, {"choices": 7}, {"choices": [1]}, {"choices": [{}]}),
        {"choices": [{"message": SECRET}]},
        {"choices": [{"message": {"role": "assistant", "content": 5}}]},
        {"choices": [{"message": {"role": "assistant", "content": "", "tool_calls": 5}}]},
    ],
    ids=str,
)
async def test_an_answer_of_another_form_is_a_broken_connection(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    with pytest.raises(openai.APIError) as caught:
        await ask(monkeypatch, json.dumps(answer).encode(), stream=False)
    failure = classify(caught.value)
    assert (failure.code, failure.retryable, failure.away) == ("model_unreachable", True, False)
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "usage",
    [[1], SECRET, 5, *({**USAGE, "total_tokens": wrong} for wrong in (-5, "7", float("nan"), 1e400, 10**30, [7]))],
    ids=str,
)
async def test_a_usage_that_cannot_be_counts_as_none(monkeypatch: pytest.MonkeyPatch, usage: Any, stream: bool) -> None:
    whole = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}
    content = body(delta("stop", content="hi"), {"choices": [], "usage": usage}) if stream else b""
    output = await ask(monkeypatch, content or json.dumps(whole | {"usage": usage}).encode(), stream=stream)
    assert (output.text, output.usage) == ("hi", None)


async def test_details_of_a_usage_that_cannot_be_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = {**USAGE, "completion_tokens_details": {"reasoning_tokens": 1, "audio_tokens": -1}, "prompt_tokens_details": 5}
    output = await ask(monkeypatch, body(delta("stop", content="hi"), {"choices": [], "usage": usage}), stream=True)
    assert output.usage
    assert (output.usage["total_tokens"], output.usage["output_token_details"]) == (7, {"reasoning": 1})


async def test_of_usage_with_each_chunk_the_latest_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = [delta(content="a") | {"usage": {**USAGE, "total_tokens": total}} for total in (1, 2, 3)]
    output = await ask(monkeypatch, body(*chunks, delta("stop")), stream=True)
    assert output.usage
    assert (output.text, output.usage["total_tokens"]) == ("aaa", 3)


async def test_chunks_that_tell_nothing_are_dropped() -> None:
    nothing: list[dict[str, Any]] = [{}, {"choices": []}, delta(), delta(role="assistant"), delta(content="")]
    nothing.append({"choices": [], "usage": USAGE})
    chunks = await read(*[body(*nothing * 50).replace(b"data: [DONE]\n\n", b"")] * 4, body(delta("stop", content="hi")))
    assert len(chunks) == 3  # the first, whatever it tells; the text; the usage
    assert chunks[2]["usage"] == USAGE


async def test_the_chunks_of_an_answer_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "MOST_CHUNKS", 100)
    monkeypatch.setattr(streaming, "FLUSH_SECONDS", 0)
    calls = [delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}]) for n in range(101)]
    assert len(await read(body(*calls[:100]))) == 100
    with pytest.raises(openai.APIConnectionError):
        await read(body(*calls))


async def test_the_calls_of_an_answer_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "MOST_CALLS", 100)
    calls = [{"index": n, "id": str(n), "function": {"name": "f", "arguments": "{}"}} for n in range(101)]
    assert len((await ask(monkeypatch, body(delta("tool_calls", tool_calls=calls[:100])), stream=True)).output) == 100
    with pytest.raises(openai.APIConnectionError):
        await read(body(delta("tool_calls", tool_calls=calls)))


ABSURD = ["9" * 5_000, "Fri, 31 Dec 9999 23:59:59 +999999999999999", "Fri, 31 Dec 99999999999999999999999 23:59:59 GMT"]
ABSURD += ["Fri, 31 Dec 9999 23:59:59 -9999", "nan", "1e999", "-5e999"]


@pytest.mark.parametrize("value", ABSURD)
@pytest.mark.parametrize("name", ["retry-after", "retry-after-ms"])
def test_a_wait_that_cannot_be_counts_as_none(name: str, value: str) -> None:
    assert retry_after({name: value}) in (None, 0.0)


def test_a_wait_is_a_day_at_most() -> None:
    assert retry_after({"retry-after": "1e307"}) == retry_after({"retry-after-ms": "9" * 300}) == 86_400


@pytest.mark.parametrize(("told", "shown"), [("7", "7"), ("9" * 5_000, None), ("\u0663", None), ("soon", None)])
def test_the_gateway_passes_on_a_wait_that_is_a_number(told: str, shown: str | None) -> None:
    assert (refusal(RATE_LIMITED, told).headers or {}).get("retry-after") == shown


@pytest.mark.parametrize("value", ["9" * 5_000, "9" * 4_301, "9" * 10])
def test_a_limit_that_is_no_number_of_requests_is_the_largest(value: str) -> None:
    end = answered({"x-ratelimit-limit-requests": value, "x-ratelimit-remaining-tokens": "12"}, 0)
    assert (end.limit_requests, end.left_tokens) == (10**9, 12)


def test_a_servers_numbers_of_any_length_are_read() -> None:
    words = ServerWords.of_body({"message": f"maximum context length is {'9' * 5_000}", "code": 10**5_000})
    assert (words.allowed, words.code) == (0, "")
