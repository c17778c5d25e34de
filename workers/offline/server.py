"""The offline stand-in for the model: a real HTTP server that speaks OpenAI's chat completions, embeddings and moderations.

It runs inside an event loop (`async with OfflineModel() as server: server.base_url`) or as a process of its own
(`python -m turnstile.workers.offline --port 0 --latency 2`), which prints its base URL as its one line on stdout.

Its behaviour is set at the start, and changed by each request: in the header `x-offline`, or inside the newest user
message, as in `Hello [[latency=2 fail=429 retry-after=1 times=2]]`. The directive is not part of the question.

`GET /_stats` tells how many requests came, and how they went: `requests = open + completed + failed + aborted`; of those that
failed, `limited` were more than its rate limits allow.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, replace
from typing import Any, Self

from uvicorn.config import Config
from uvicorn.server import ServerState

from turnstile.workers.offline import answers, inputs
from turnstile.workers.offline.behaviour import Behaviour, read_directive
from turnstile.workers.offline.delivery import deliver, fail, overflow
from turnstile.workers.offline.exchange import ClientGone, Connection, Exchange, Receive, Send, Stats
from turnstile.workers.offline.messages import last_question
from turnstile.workers.offline.prefixes import Prefixes
from turnstile.workers.offline.rate_limits import RateLimits, patience


class OfflineModel:
    """The server. It listens on loopback between `start` and `stop`, or inside `async with`.

    `port` 0 takes a free one. With `record`, `seen` holds the body of every chat request.
    """

    def __init__(self, port: int = 0, behaviour: Behaviour | None = None, record: bool = False) -> None:
        self.stats = Stats()
        self.seen: list[dict[str, Any]] = []
        self._port, self._behaviour, self._record = port, behaviour or Behaviour(), record
        self._faults: Counter[int] = Counter()
        self._limits, self._prefixes = RateLimits(), Prefixes()
        self._state = ServerState()
        self._server: asyncio.Server | None = None

    @property
    def base_url(self) -> str:
        """The value for `OPENAI_BASE_URL`."""
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
            lambda: Connection(config, self._state, self.stats), "127.0.0.1", self._port, backlog=4096
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
        exchange = Exchange(scope, receive, send)
        match scope["method"], scope["path"]:
            case "POST", "/v1/chat/completions":
                await self._count(exchange, self._chat)
            case "POST", "/v1/embeddings" | "/v1/moderations":
                await self._count(exchange, self._read_inputs)
            case "GET", "/v1/models":
                await exchange.reply(answers.models())
            case "GET", "/_stats":
                await exchange.reply(json.dumps(asdict(self.stats)).encode())
            case _:
                await exchange.reply(answers.failure("No such route.", "invalid_request_error", None), 404)

    async def _count(self, exchange: Exchange, answer: Callable[[Exchange], Awaitable[bool]]) -> None:
        self.stats.requests += 1
        self.stats.open += 1
        try:
            if await answer(exchange):
                self.stats.completed += 1
            else:
                self.stats.failed += 1
        except ClientGone:
            self.stats.aborted += 1
        finally:
            self.stats.open -= 1

    async def _chat(self, exchange: Exchange) -> bool:
        """Answer one request; true if it got its answer."""
        try:
            request = _read_request(await exchange.body())
            base = self._behaviour.adjusted(exchange.header(b"x-offline"))
        except ValueError as error:
            await exchange.reply(answers.failure(str(error), "invalid_request_error", None), 400)
            return False
        if self._record:
            self.seen.append(request)
        asked = last_question(request["messages"])
        question, behaviour = read_directive(asked, base)
        behaviour = self._worn_off(behaviour, asked)
        tokens = len(json.dumps(request["messages"])) // 4 + (answers.most_tokens(request) or 16)
        if not await self._within_limits(exchange, request, tokens, behaviour):
            self.stats.limited += 1
            return False
        if await _misbehaved(exchange, behaviour):
            return False
        refusal = behaviour.finish == "refusal"
        # As OpenAI's do, a refusal ignores the form that was asked for.
        try:
            answer = answers.answer({**request, "response_format": None} if refusal else request, question, behaviour.think)
        except ValueError as error:
            await exchange.reply(answers.failure(str(error), "invalid_request_error", None), 400)
            return False
        if 0 < behaviour.context < answer.prompt_tokens:
            await overflow(exchange, answer.prompt_tokens, behaviour.context)
            return False
        if behaviour.cache:
            cached = self._prefixes.take(request["messages"], answers.sizes(request["messages"]))
            answer = replace(answer, cached_tokens=cached)
        if behaviour.model:
            answer = replace(answer, model=behaviour.model)
        if behaviour.finish:
            answer = replace(answer, finish_reason=behaviour.finish)
        return await deliver(exchange, request, answer, behaviour)

    async def _read_inputs(self, exchange: Exchange) -> bool:
        """Answer a request for embeddings or moderations; true if it got its answer."""
        try:
            request = json.loads(await exchange.body())
            asked = inputs.newest_text(request)
            behaviour = self._worn_off(read_directive(asked, self._behaviour)[1], asked)
            if not await self._within_limits(exchange, request, len(asked) // 4, behaviour):
                self.stats.limited += 1
                return False
            answer = await (inputs.embeddings if exchange.scope["path"].endswith("embeddings") else inputs.moderations)(request)
        except ValueError as error:
            await exchange.reply(answers.failure(str(error), "invalid_request_error", None), 400)
            return False
        if await _misbehaved(exchange, behaviour):
            return False
        await exchange.reply(answer)
        return True

    async def _within_limits(self, exchange: Exchange, request: Mapping[str, Any], tokens: int, behaviour: Behaviour) -> bool:
        """Count a request within the rate limits, or refuse it; either way, the answer tells of them."""
        most_requests, most_tokens = behaviour.requests_per_minute, behaviour.tokens_per_minute
        wait, exchange.told = self._limits.take(str(request.get("model")), tokens, most_requests, most_tokens)
        if wait:
            refusal = answers.failure("Rate limit reached.", "requests", "rate_limit_exceeded")
            await exchange.reply(refusal, 429, patience(wait))
        return not wait

    def _worn_off(self, behaviour: Behaviour, asked: str) -> Behaviour:
        if not (behaviour.times and behaviour.faulty):
            return behaviour
        key = hash(behaviour.key or asked)
        self._faults[key] += 1
        return behaviour.healed() if self._faults[key] > behaviour.times else behaviour


async def _misbehaved(exchange: Exchange, behaviour: Behaviour) -> bool:
    """Do what goes before an answer, or takes its place; true if there will be none."""
    if behaviour.refuse:
        await exchange.hang_up(at_once=True)
        return True
    if behaviour.latency or behaviour.hang:
        await exchange.pause(None if behaviour.hang else behaviour.latency)
    if behaviour.fail:
        await fail(exchange, behaviour)
    return bool(behaviour.fail)


def _read_request(body: bytes) -> dict[str, Any]:
    request: dict[str, Any] = json.loads(body)
    messages = request.get("messages") if isinstance(request, dict) else None
    if not isinstance(messages, list) or not messages or not all(isinstance(message, dict) for message in messages):
        raise ValueError("messages must be a list of at least one message")
    if not isinstance(answers.most_tokens(request) or 1, int):
        raise ValueError("max_completion_tokens must be a whole number")
    return request
