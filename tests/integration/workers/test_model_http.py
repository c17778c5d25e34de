"""The default chain against a model's server over real HTTP: answers, failures, and connections that are let go."""

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage

from tests.support.wait import PATIENCE_SECONDS, wait_until, wait_until_async
from turnstile.turns.settings import Settings
from turnstile.workers.attempt.failures import classify
from turnstile.workers.chains.load import close_chain, load_chain
from turnstile.workers.chains.run import Chain, ChainEvent, ChainOutput, run_chain
from turnstile.workers.offline.answers import MODEL
from turnstile.workers.offline.server import OfflineModel

BOTH = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


@pytest.fixture
async def chain(offline: OfflineModel) -> AsyncIterator[Chain]:
    loaded = load_chain(Settings(model_timeout=30), offline.base_url)
    yield loaded
    await close_chain(loaded)


async def ask(chain: Chain, question: Any, streamed: bool = False, history: Any = (), **options: Any) -> ChainOutput:
    heard, output = await listen(chain, question, streamed, history, **options)
    assert "".join(heard) == (output.text if streamed else "")
    return output


async def listen(
    chain: Chain, question: Any, streamed: bool = True, history: Any = (), **options: Any
) -> tuple[list[str], ChainOutput]:
    """Return the pieces of text, and the output."""
    events: list[ChainEvent] = []
    output = await run_chain(chain, question, history, "foo", options, events.append if streamed else None)
    return [event.text for event in events], output


@BOTH
async def test_a_conversation(chain: Chain, offline: OfflineModel, streamed: bool) -> None:
    first = await ask(chain, "Hi! I'm bob", streamed)
    second = await ask(chain, "Whats my name", streamed, [HumanMessage("Hi! I'm bob"), first.message])
    assert first.text.startswith("Hello Bob!")
    assert second.text == "Your name is Bob."
    assert type(second.message) is AIMessage
    assert (second.model, second.finish_reason) == (MODEL, "stop")
    assert second.usage is not None
    assert second.usage["total_tokens"] == second.usage["input_tokens"] + second.usage["output_tokens"] > 0
    assert [message["role"] for message in offline.seen[1]["messages"]] == ["system", "user", "assistant", "user"]
    assert offline.seen[0]["messages"][0]["content"] == "You're an assistant."


@BOTH
async def test_options_of_one_turn(chain: Chain, offline: OfflineModel, streamed: bool) -> None:
    options = {"model": "other", "temperature": 0.1, "max_output_tokens": 2, "instructions": "Be {brief}"}
    short = await ask(chain, "one two three", streamed, **options, text={"format": {"type": "json_object"}})
    await ask(chain, "again", streamed)
    assert (short.text, short.finish_reason) == ('{"answer": "You', "length")
    sent, after = offline.seen
    assert (sent["model"], sent["temperature"], sent["max_completion_tokens"]) == ("other", 0.1, 2)
    assert sent["messages"][0] == {"role": "system", "content": "Be {brief}"}
    assert sent["response_format"] == {"type": "json_object"}
    assert after.keys().isdisjoint({"temperature", "max_completion_tokens", "response_format"})
    assert after["messages"][0]["content"] == "You're an assistant."


async def test_braces_in_the_system_prompt_are_text(offline: OfflineModel) -> None:
    chain = load_chain(Settings(system_prompt='Answer as {"json": "{x}"}'), offline.base_url)
    await ask(chain, "{y}", history=[HumanMessage("{z}")])
    assert [message["content"] for message in offline.seen[0]["messages"]] == ['Answer as {"json": "{x}"}', "{z}", "{y}"]
    await close_chain(chain)


async def test_a_question_of_parts(chain: Chain, offline: OfflineModel) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    parts = [{"type": "text", "text": "what is this?"}, image]
    assert (await ask(chain, parts)).text == "You said: what is this?"
    assert offline.seen[0]["messages"][-1]["content"] == parts


@BOTH
@pytest.mark.parametrize(
    ("fault", "code", "retryable", "seconds"),
    [
        ("fail=400", "invalid_request", False, None),
        ("fail=401", "authentication", False, None),
        ("fail=404", "invalid_request", False, None),
        ("fail=context_length_exceeded", "context_length_exceeded", False, None),
        ("fail=429 retry-after=1.5", "rate_limited", True, 1.5),
        ("fail=insufficient_quota", "rate_limited", False, None),
        ("fail=500", "model_overloaded", True, None),
        ("fail=503 retry-after=3", "model_overloaded", True, 3),
        ("refuse", "model_unreachable", True, None),
        ("drop", "model_unreachable", True, None),
    ],
)
async def test_failures_are_told_apart(
    chain: Chain, streamed: bool, fault: str, code: str, retryable: bool, seconds: float | None
) -> None:
    with pytest.raises(openai.APIError) as caught:
        await ask(chain, f"my secret is long enough [[{fault}]]", streamed)
    failure = classify(caught.value)
    assert (failure.code, failure.retryable, failure.retry_after) == (code, retryable, seconds)
    assert "secret" not in failure.message


@BOTH
@pytest.mark.parametrize("fault", ["hang", "stall"])
async def test_a_silent_server_is_a_time_out(offline: OfflineModel, streamed: bool, fault: str) -> None:
    chain = load_chain(Settings(model_timeout=0.3), offline.base_url)
    with pytest.raises(openai.APIError) as caught:
        await ask(chain, f"one two three [[{fault}]]", streamed)
    assert classify(caught.value).code == "model_timeout"
    await close_chain(chain)


async def test_no_server_is_unreachable() -> None:
    async with OfflineModel() as gone:
        chain = load_chain(Settings(), gone.base_url)
    with pytest.raises(openai.APIError) as caught:
        await ask(chain, "hello")
    assert classify(caught.value).code == "model_unreachable"
    await close_chain(chain)


async def test_a_fault_wears_off_after_its_times(chain: Chain, offline: OfflineModel) -> None:
    for _ in range(2):
        with pytest.raises(openai.InternalServerError):
            await ask(chain, "hello [[fail=503 times=2]]")
    assert (await ask(chain, "hello [[fail=503 times=2]]")).text == "You said: hello"
    assert (offline.stats.failed, offline.stats.completed) == (2, 1)


@BOTH
async def test_the_model_is_told_who_asks(chain: Chain, offline: OfflineModel, streamed: bool) -> None:
    await ask(chain, "hello", streamed, name="bob")
    assert offline.seen[0]["messages"][-1] == {"role": "user", "content": "hello", "name": "bob"}


@BOTH
async def test_a_refusal_is_told_from_an_answer(chain: Chain, streamed: bool) -> None:
    refused = await ask(chain, "hello [[finish=refusal]]", streamed)
    assert (refused.text, refused.refusal) == ("You said: hello", True)
    assert not (await ask(chain, "hello", streamed)).refusal


async def test_a_content_filter_is_a_finish_reason(chain: Chain) -> None:
    assert (await ask(chain, "hello [[finish=content_filter]]", True)).finish_reason == "content_filter"


@BOTH
@pytest.mark.parametrize("fault", ["hang", "stall", "latency=60", "tokens-per-second=0.01"])
async def test_cancelling_drops_the_connection(chain: Chain, offline: OfflineModel, streamed: bool, fault: str) -> None:
    async def at_work() -> bool:
        return offline.stats.open == 1

    async def aborted() -> bool:
        return offline.stats.aborted == 1

    call = asyncio.create_task(ask(chain, f"one two three [[{fault}]]", streamed))
    await wait_until_async(at_work, "the model is at work")
    call.cancel()
    await wait_until_async(aborted, "the model's server sees the client gone")
    with pytest.raises(asyncio.CancelledError):
        await call
    assert offline.stats.open == 0


async def test_a_slow_answer_is_heard_while_it_is_told(chain: Chain) -> None:
    heard, output = await listen(chain, "one two three four five six seven eight [[tokens-per-second=20]]")
    assert "".join(heard) == output.text == "You said: one two three four five six seven eight"
    assert len(heard) > 1


async def test_connections_are_used_again(chain: Chain, offline: OfflineModel) -> None:
    for number in range(6):
        await ask(chain, "one two three [[tokens-per-second=200]]", streamed=number % 2 == 0)
    assert offline.stats.connections == 1


class Rough(BaseHTTPRequestHandler):
    """Streams the server's `lines` for any request, and ends the body only when the client has had time to read them."""

    protocol_version = "HTTP/1.1"
    lines: tuple[bytes, ...] = ()
    connections = 0

    def setup(self) -> None:
        super().setup()
        type(self).connections += 1

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        body = b"".join(line + b"\n\n" for line in self.lines)
        self.wfile.write(b"%x\r\n%b\r\n" % (len(body), body))
        time.sleep(0.01)
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # http.server's name
        pass


@contextmanager
def rough_server(*lines: bytes) -> Iterator[tuple[str, type[Rough]]]:
    class Handler(Rough):
        pass

    Handler.lines = lines
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1", Handler
        finally:
            server.shutdown()
            thread.join()


TEXT = b'data: {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": null}]}'
STOP = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}'


async def rough_answer(*lines: bytes) -> tuple[str, int]:
    with rough_server(*lines) as (url, handler):
        chain = load_chain(Settings(), url)
        try:
            texts = {(await ask(chain, "hello", True)).text for _ in range(3)}
        finally:
            await close_chain(chain)
    return texts.pop(), handler.connections


async def test_a_body_is_read_to_its_end_so_that_its_connection_is_used_again() -> None:
    assert await rough_answer(TEXT, STOP, b"data: [DONE]") == ("Hi", 1)


@pytest.mark.parametrize("lines", [(TEXT, STOP), (TEXT, b"data: [DONE]")])
async def test_either_sign_of_the_end_will_do(lines: tuple[bytes, ...]) -> None:
    assert (await rough_answer(*lines))[0] == "Hi"


@pytest.mark.parametrize(
    ("line", "code", "retryable"),
    [
        (b": that was all", "model_unreachable", True),
        (b"data: <html>", "model_unreachable", True),
        (b'data: {"error": {"message": "secret", "code": "rate_limit_exceeded"}}', "rate_limited", True),
        (b'data: {"error": {"message": "secret", "code": "content_filter"}}', "content_filter", False),
        (b'data: {"error": "secret"}', "model_overloaded", True),
    ],
)
async def test_a_stream_that_breaks_off_is_no_answer(line: bytes, code: str, retryable: bool) -> None:
    with pytest.raises(openai.APIError) as caught:
        await rough_answer(TEXT, line)
    failure = classify(caught.value)
    assert (failure.code, failure.retryable) == (code, retryable)
    assert "secret" not in failure.message


async def test_as_many_calls_at_once_as_the_process_has_turns(offline: OfflineModel) -> None:
    async def all_there() -> bool:
        return offline.stats.open == 300

    chain = load_chain(Settings(concurrency=300), offline.base_url)
    calls = [asyncio.create_task(ask(chain, "[[hang]]")) for _ in range(300)]
    await wait_until_async(all_there, "300 calls stand open at once")
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    await close_chain(chain)


async def test_the_server_stops_with_requests_open() -> None:
    server = OfflineModel()
    await server.start()

    async def at_work() -> bool:
        return server.stats.open == 1

    chain = load_chain(Settings(), server.base_url)
    call = asyncio.create_task(ask(chain, "[[hang]]"))
    await wait_until_async(at_work, "the request is open")
    await server.stop()
    with pytest.raises(openai.APIError) as caught:
        await call
    assert classify(caught.value).code == "model_unreachable"
    await close_chain(chain)


class Process:
    """The stand-in as a process of its own."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "turnstile.workers.offline", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()

    def post(self, question: str, **headers: str) -> Any:
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": question}]}).encode()
        request = urllib.request.Request(f"{self.url}/chat/completions", body, headers)
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
            return json.load(response)

    def stats(self) -> dict[str, int]:
        with urllib.request.urlopen(f"{self.url.removesuffix('/v1')}/_stats", timeout=PATIENCE_SECONDS) as response:
            counted: dict[str, int] = json.load(response)
            return counted

    def end(self) -> tuple[str, str]:
        self.process.send_signal(signal.SIGTERM)
        return self.process.communicate(timeout=PATIENCE_SECONDS)


@pytest.fixture
def process() -> Iterator[Process]:
    started = Process("--latency", "0.01", "--finish", "length")
    yield started
    if started.process.poll() is None:
        started.end()


def test_as_a_process(process: Process) -> None:
    answer = process.post("hello")
    assert answer["choices"][0]["message"]["content"] == "You said: hello"
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["model"] == MODEL
    with urllib.request.urlopen(f"{process.url}/models", timeout=PATIENCE_SECONDS) as response:
        assert [model["id"] for model in json.load(response)["data"]] == [MODEL]
    assert process.end() == ("", "")
    assert process.process.returncode == 0


def test_a_header_sets_a_fault(process: Process) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        process.post("hello", **{"x-offline": "fail=429 retry-after=4"})
    with caught.value as refused:
        assert (refused.code, refused.headers["retry-after"]) == (429, "4")
        assert json.load(refused)["error"]["code"] == "rate_limit_exceeded"
    with pytest.raises(urllib.error.HTTPError) as caught:
        process.post("hello", **{"x-offline": "nonsense"})
    with caught.value as refused:
        assert refused.code == 400


def test_a_process_ends_with_requests_open(process: Process) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": "[[hang]]"}]})
    command = [
        sys.executable,
        "-c",
        f"import urllib.request as u; u.urlopen('{process.url}/chat/completions', {body.encode()!r})",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as client:
        wait_until(lambda: process.stats()["open"] == 1, "the request is open")
        process.end()
        client.communicate(timeout=PATIENCE_SECONDS)
    assert process.process.returncode == 0
    assert client.returncode != 0


def test_a_wrong_flag_is_refused() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "turnstile.workers.offline", "--fail", "999"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert ended.returncode == 2
    assert "fail must be one of" in ended.stderr
