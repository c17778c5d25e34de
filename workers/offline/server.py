"""The offline stand-in for the model: a real HTTP server that speaks OpenAI's chat completions.

It runs inside an event loop (`async with OfflineModel() as server: server.base_url`) or as a process of its own
(`python -m turnstile.workers.offline --port 0 --latency 2`), which prints its base URL as its one line on stdout.

How it behaves is set when it starts, and again by each request: in the header `x-offline`, or inside the newest user
message, as in `Hello [[latency=2 fail=429 retry-after=1 times=2]]`. The directive is not part of the question.

`GET /_stats` tells how many requests came, and how they went: `requests = open + completed + failed + aborted`.
"""

import argparse
import asyncio
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import uvloop
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from turnstile.workers.offline import answers as answers
from turnstile.workers.offline.behaviour import FAILURES, OPTIONS, Behaviour, read_directive

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@dataclass(slots=True)
class Stats:
    """What happened so far. `aborted`: the client went away before the end of its answer."""

    requests: int = 0
    open: int = 0
    completed: int = 0
    failed: int = 0
    aborted: int = 0
    connections: int = 0


class _ClientGoneError(Exception):
    """The connection was closed before the answer was complete."""


class _Exchange:
    """One request and its response."""

    def __init__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        self.scope, self._receive, self._send = scope, receive, send

    def header(self, name: bytes) -> str:
        return next((value.decode("latin-1") for key, value in self.scope["headers"] if key == name), "")

    async def body(self) -> bytes:
        parts = []
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise _ClientGoneError
            parts.append(message["body"])
            if not message["more_body"]:
                return b"".join(parts)

    async def pause(self, seconds: float | None) -> None:
        """Wait; with None, for ever. Once the body is read, all that can still be received is the disconnect."""
        try:
            async with asyncio.timeout(seconds):
                await self._receive()
        except TimeoutError:
            return
        raise _ClientGoneError

    async def start(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, body: bytes, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def reply(self, body: bytes, status: int = 200, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        await self.start(status, [*_json_headers(body), *headers])
        await self.write(body, more=False)

    async def hang_up(self, at_once: bool = False) -> None:
        transport: asyncio.Transport = self.scope["extensions"]["transport"]
        transport.abort() if at_once else transport.close()
        await self._receive()


def _json_headers(body: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]


class _Connection(HttpToolsProtocol):
    """uvicorn's protocol, silent, with the transport in reach of the application."""

    def __init__(self, config: Config, state: ServerState, stats: Stats) -> None:
        super().__init__(config, state, {})
        self.access_log = False
        self._stats = stats

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        self._stats.connections += 1
        super().connection_made(transport)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {"transport": self.transport}  # type: ignore[dict-item]  # ASGI's type knows dicts only


class OfflineModel:
    """The server. It listens on loopback between `start` and `stop`, or inside `async with`.

    `port` 0 takes a free one. With `record`, `seen` holds the body of every chat request.
    """

    def __init__(self, port: int = 0, behaviour: Behaviour | None = None, record: bool = False) -> None:
        self.stats = Stats()
        self.seen: list[dict[str, Any]] = []
        self._port, self._behaviour, self._record = port, behaviour or Behaviour(), record
        self._faults: Counter[int] = Counter()
        self._state = ServerState()
        self._server: asyncio.Server | None = None

    @property
    def base_url(self) -> str:
        """What to set `OPENAI_BASE_URL` to."""
        return f"http://127.0.0.1:{self._port}/v1"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the port is taken.
        """
        config = Config(
            self._route,
            interface="asgi3",
            lifespan="off",
            ws="none",
            log_config=None,
            proxy_headers=False,
            timeout_keep_alive=600,
        )
        config.load()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(config, self._state, self.stats), "127.0.0.1", self._port, backlog=4096
        )
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close every connection at once and end."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._state.connections):
            connection.transport.abort()
        await asyncio.gather(*self._state.tasks)
        await self._server.wait_closed()
        self._server = None

    async def _route(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        exchange = _Exchange(scope, receive, send)
        match scope["method"], scope["path"]:
            case "POST", "/v1/chat/completions":
                await self._count(exchange)
            case "GET", "/v1/models":
                await exchange.reply(answers.models())
            case "GET", "/_stats":
                await exchange.reply(json.dumps(asdict(self.stats)).encode())
            case _:
                await exchange.reply(answers.failure("No such route.", "invalid_request_error", None), 404)

    async def _count(self, exchange: _Exchange) -> None:
        self.stats.requests += 1
        self.stats.open += 1
        try:
            if await self._chat(exchange):
                self.stats.completed += 1
            else:
                self.stats.failed += 1
        except _ClientGoneError:
            self.stats.aborted += 1
        finally:
            self.stats.open -= 1

    async def _chat(self, exchange: _Exchange) -> bool:
        """Answer one request; true if it got its answer."""
        try:
            request = _read_request(await exchange.body())
            base = self._behaviour.adjusted(exchange.header(b"x-offline"))
        except ValueError as error:
            await exchange.reply(answers.failure(str(error), "invalid_request_error", None), 400)
            return False
        if self._record:
            self.seen.append(request)
        asked = answers.last_question(request["messages"])
        question, behaviour = read_directive(asked, base)
        behaviour = self._worn_off(behaviour, asked)
        if behaviour.refuse:
            await exchange.hang_up(at_once=True)
            return False
        if behaviour.latency or behaviour.hang:
            await exchange.pause(None if behaviour.hang else behaviour.latency)
        if behaviour.fail:
            await _fail(exchange, behaviour)
            return False
        told = answers.answer(request["messages"], question, _most_tokens(request))
        if behaviour.finish:
            told = replace(told, finish_reason=behaviour.finish)
        return await (_stream if request.get("stream") else _tell)(exchange, request, told, behaviour)

    def _worn_off(self, behaviour: Behaviour, asked: str) -> Behaviour:
        if not (behaviour.times and behaviour.faulty):
            return behaviour
        key = hash(behaviour.key or asked)
        self._faults[key] += 1
        return behaviour.healed() if self._faults[key] > behaviour.times else behaviour


def _read_request(body: bytes) -> dict[str, Any]:
    request: dict[str, Any] = json.loads(body)
    messages = request.get("messages") if isinstance(request, dict) else None
    if not isinstance(messages, list) or not messages or not all(isinstance(message, dict) for message in messages):
        raise ValueError("messages must be a list of at least one message")
    if not isinstance(_most_tokens(request) or 1, int):
        raise ValueError("max_completion_tokens must be a whole number")
    return request


def _most_tokens(request: Mapping[str, Any]) -> Any:
    return request.get("max_completion_tokens") or request.get("max_tokens")


async def _fail(exchange: _Exchange, behaviour: Behaviour) -> None:
    status, kind, code = FAILURES[behaviour.fail]
    wait = f"{behaviour.retry_after:g}".encode()
    headers = [(b"retry-after", wait)] if behaviour.retry_after else []
    await exchange.reply(answers.failure("The stand-in was told to fail.", kind, code), status, headers)


async def _tell(exchange: _Exchange, _request: Mapping[str, Any], told: answers.Answer, behaviour: Behaviour) -> bool:
    if behaviour.tokens_per_second:
        await exchange.pause(len(told.pieces) / behaviour.tokens_per_second)
    body = answers.completion(told)
    await exchange.start(200, _json_headers(body))
    if behaviour.drop or behaviour.stall:
        await exchange.write(body[: len(body) // 2], more=True)
        return await _break_off(exchange, behaviour)
    await exchange.write(body, more=False)
    return True


async def _stream(exchange: _Exchange, request: Mapping[str, Any], told: answers.Answer, behaviour: Behaviour) -> bool:
    events = answers.events(told, bool((request.get("stream_options") or {}).get("include_usage")))
    broken = behaviour.drop or behaviour.stall
    await exchange.start(200, [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")])
    await _write_paced(exchange, events[: len(events) // 2] if broken else events, behaviour, more=broken)
    return await _break_off(exchange, behaviour) if broken else True


async def _break_off(exchange: _Exchange, behaviour: Behaviour) -> bool:
    await (exchange.pause(None) if behaviour.stall else exchange.hang_up())
    return False


async def _write_paced(exchange: _Exchange, events: Sequence[bytes], behaviour: Behaviour, more: bool) -> None:
    """Write what is due, wait for the next; a loop that lags behind makes it up with larger writes."""
    pace = behaviour.tokens_per_second
    start, sent = time.monotonic(), 0
    while sent < len(events):
        due = int((time.monotonic() - start) * pace) + 1 if pace else len(events)
        written, sent = sent, min(max(due, sent + 1), len(events))
        await exchange.write(b"".join(events[written:sent]), more=more or sent < len(events))
        if sent < len(events):
            await exchange.pause(max(start + sent / pace - time.monotonic(), 0))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m turnstile.workers.offline", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    for name, kind in OPTIONS.items():
        flag = f"--{name.replace('_', '-')}"
        if kind is bool:
            parser.add_argument(flag, action="store_true")
        else:
            parser.add_argument(flag, metavar=kind.__name__.upper())
    return parser


def _words(options: Mapping[str, Any]) -> str:
    return " ".join(name if value is True else f"{name}={value}" for name, value in options.items() if value)


async def _serve(port: int, behaviour: Behaviour) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with OfflineModel(port, behaviour) as server:
        sys.stdout.write(server.base_url + "\n")
        sys.stdout.flush()
        await ended.wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = _parser()
    options = vars(parser.parse_args(arguments))
    port = options.pop("port")
    try:
        uvloop.run(_serve(port, Behaviour().adjusted(_words(options))))
    except (ValueError, OSError) as error:
        parser.error(str(error))
