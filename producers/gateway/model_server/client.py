"""The model's server, as the gateway asks it. A tenant's requests at once are few, and an answer's size is bounded."""

import asyncio
import json
import logging
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import monotonic
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

import aiohttp
from redis.exceptions import ResponseError

from turnstile.producers.gateway.edge.api_errors import NO_RETRY, ApiError
from turnstile.producers.gateway.edge.body import holding
from turnstile.producers.gateway.edge.caller import Caller
from turnstile.producers.gateway.edge.client_presence import without_client
from turnstile.producers.gateway.failure import refusal
from turnstile.producers.gateway.model_server.budget import LONGEST_WAIT, Place, RequestBudgets
from turnstile.turns.hosts import is_loopback
from turnstile.turns.http_connector import BoundedConnector
from turnstile.turns.model_failures import OVERLOADED, TIMEOUT, UNREACHABLE, of_status
from turnstile.turns.model_limits import answered, refused
from turnstile.turns.model_names import server_name
from turnstile.turns.prices import cost, read_prices
from turnstile.turns.server_words import ServerWords
from turnstile.turns.settings import Settings
from turnstile.turns.store.registry import OPENAI_URL
from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.turns.token_estimate import prompt_tokens

log = logging.getLogger(__name__)

MOST_ANSWER_BYTES = 67_108_864
AT_ONCE_OF_A_TENANT = 16
"""Requests of one tenant that the server is asked at once; others wait."""
_DROPPED = ("answer_too_large", "too_many_bytes")
"""Codes of errors of requests that the server has answered."""
_MODERATION_MODEL = "omni-moderation-latest"
"""The model of moderations that name none, as OpenAI has it."""
_MOST_ERROR_BYTES = 65_536
_MOST_LIST_BYTES = 4_194_304
_MOST_MODELS = 1_000
_PIECE_BYTES = 65_536
_ENDS_BYTES = 4_096
_TOTAL_TOKENS = re.compile(rb'"total_tokens"\s*:\s*(\d{1,12})\b')
_CONNECT_SECONDS = 10.0
_LIST_SECONDS = 3.0
_PAUSE_SECONDS = 30.0

Hold = Callable[[int], None]


class ModelServer:
    """A client of the server that the settings name; without any, of the stand-in that a worker runs."""

    def __init__(self, settings: Settings, store: AsyncTurnStore) -> None:
        self._settings, self._store = settings, store
        self._opened: aiohttp.ClientSession | None = None
        self._slots: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._models: list[dict[str, Any]] = []
        self._next = 0.0
        self._counting: set[asyncio.Task[None]] = set()
        self._budgets = RequestBudgets(store)

    async def ask(self, path: str, body: bytes, caller: Caller, model: str | None = None, parts: object = ()) -> bytes:
        """Return the server's answer to a request, which is JSON. Raises ApiError as a turn would fail.

        `parts`: what the request asks, of which some may be pictures.

        A request waits for a place in its model's budget, and then for the server. One that is left there, or whose answer is
        dropped, counts what was asked: the server answers all the same.

        Raises:
            QuotaExceeded: the tenant has spent a quota of its tokens. What this request spends counts for the next.
        """
        address, until = await self._address(), monotonic() + LONGEST_WAIT
        asked = prompt_tokens(body, [{"content": parts}])
        async with self._slots.setdefault(caller.tenant, asyncio.Semaphore(AT_ONCE_OF_A_TENANT)):
            if caller.quotas:
                await self._store.spend_tokens(caller.tenant, 0, 0, caller.quotas)
            server = server_name(address, self._settings.openai_api_key.get_secret_value() or "none")
            async with self._budgets.place(server, model or _MODERATION_MODEL, asked, caller.tenant, until) as place:
                try:
                    with holding(caller.api_key) as hold:
                        answer = await self._post(f"{address}/{path}", body, hold, place)
                except (asyncio.CancelledError, ApiError) as error:
                    if not isinstance(error, ApiError) or error.code in _DROPPED:
                        self._start_count(caller, model, asked)
                    raise
            await asyncio.shield(self._start_count(caller, model, tokens_of(answer)))
        return answer

    def _start_count(self, caller: Caller, model: str | None, tokens: int) -> "asyncio.Task[None]":
        """Count the tokens of a request, also when its client has left."""
        with without_client():
            task = asyncio.create_task(self._count(caller, model or "", tokens))
        self._counting.add(task)
        task.add_done_callback(self._end_count)
        return task

    def _end_count(self, task: "asyncio.Task[None]") -> None:
        self._counting.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.debug("tokens of a request were not counted: %s", type(error).__name__)

    async def _count(self, caller: Caller, model: str, tokens: int) -> None:
        price = cost(read_prices(self._settings.prices), model, tokens, 0)
        if tokens and (caller.tenant or caller.quotas):
            await self._store.spend_tokens(caller.tenant, tokens, price)

    async def models(self) -> list[dict[str, Any]]:
        """Return the models that the server lists, asked for at most every few seconds; none if it does not tell."""
        if monotonic() >= self._next:
            self._next = monotonic() + _PAUSE_SECONDS
            try:
                with without_client():
                    self._models = await self._list()
            except (ApiError, aiohttp.ClientError, OSError, ValueError, RecursionError):
                self._models = []
        return self._models

    async def close(self) -> None:
        """Close the connections, when what was spent has been counted."""
        await asyncio.gather(*self._counting, self._budgets.close(), return_exceptions=True)
        if self._opened:
            await self._opened.close()

    async def _address(self) -> str:
        """Return the server's URL. Raises ApiError if there is no server."""
        if not self._settings.offline:
            return (self._settings.openai_base_url or OPENAI_URL).rstrip("/")
        found = await self._stand_in()
        if found is None:
            message = "The gateway has no model's server: set OPENAI_API_KEY or OPENAI_BASE_URL for it as for the workers."
            raise ApiError(503, message, None, "no_model_server", NO_RETRY)
        return found

    async def _stand_in(self) -> str | None:
        """Return the URL of a worker's stand-in, if any runs one, and this user may read the list of workers."""
        with suppress(ResponseError):
            workers = await self._store.workers()
            return next((str(facts["stand_in"]) for facts in workers.values() if facts.get("stand_in")), None)
        return None

    async def _post(self, url: str, body: bytes, hold: Hold, place: Place) -> bytes:
        try:
            async with self._session(url).post(url, data=body) as answer:
                return await self._checked(answer, hold, place)
        except TimeoutError:
            raise refusal(TIMEOUT) from None
        except (aiohttp.ClientError, OSError):
            raise refusal(UNREACHABLE) from None

    async def _checked(self, answer: aiohttp.ClientResponse, hold: Hold, place: Place) -> bytes:
        if answer.status != 200:
            words = _words(await _read(answer, _MOST_ERROR_BYTES, hold))
            place.end = refused(answer.status, answer.headers, words)
            raise _refused(answer.status, words, answer.headers.get("retry-after", ""))
        if answer.content_type != "application/json":
            raise refusal(OVERLOADED)
        content = await _read(answer, MOST_ANSWER_BYTES, hold)
        place.end = answered(answer.headers, tokens_of(content))
        return content

    async def _list(self) -> list[dict[str, Any]]:
        url = f"{await self._address()}/models"
        async with asyncio.timeout(_LIST_SECONDS), self._session(url).get(url) as answer:
            listed = json.loads(await _read(answer, _MOST_LIST_BYTES, lambda _: None)) if answer.status == 200 else {}
        found = listed.get("data") if isinstance(listed, dict) else None
        known = [model for model in found if isinstance(model, dict)] if isinstance(found, list) else []
        return [_model(one) for one in known if isinstance(one.get("id"), str)][:_MOST_MODELS]

    def _session(self, url: str) -> aiohttp.ClientSession:
        if self._opened is None:
            seconds, address = self._settings.model_timeout, urlsplit(url)
            headers = {"content-type": "application/json", "accept-encoding": "identity"}
            if "@" not in address.netloc:  # a login in the URL takes the place of the key, as it does for workers
                headers["authorization"] = f"Bearer {self._settings.openai_api_key.get_secret_value() or 'none'}"
            self._opened = aiohttp.ClientSession(
                connector=BoundedConnector(limit=0),
                timeout=aiohttp.ClientTimeout(total=seconds, connect=min(seconds, _CONNECT_SECONDS)),
                headers=headers,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=not is_loopback(address.hostname or ""),
            )
        return self._opened


def tokens_of(answer: bytes) -> int:
    """Return the tokens that an answer says it used, 0 if it does not; its start and its end are read for that."""
    found = _TOTAL_TOKENS.search(answer[:_ENDS_BYTES]) or _TOTAL_TOKENS.search(answer[-_ENDS_BYTES:])
    return int(found[1]) if found else 0


async def _read(answer: aiohttp.ClientResponse, most: int, hold: Hold) -> bytes:
    """Return an answer's body. Raises ApiError if it is too large."""
    content = bytearray()
    async for piece in answer.content.iter_chunked(_PIECE_BYTES):
        hold(len(piece))
        content += piece
        if len(content) > most:
            message = f"The answer of the model's server has more than {most:,} bytes: ask for less at once."
            raise ApiError(502, message, None, "answer_too_large", NO_RETRY)
    return bytes(content)


def _words(told: bytes) -> ServerWords:
    try:
        return ServerWords.of_body(json.loads(told))
    except (ValueError, RecursionError):
        return ServerWords.of_body(told.decode(errors="replace"))


def _refused(status: int, words: ServerWords, wait: str) -> ApiError:
    """Return the error for a server's error; a redirect that leads nowhere, or the like, is one, too."""
    return refusal(OVERLOADED if status < 400 else of_status(status, words.code, words), wait)


def _model(told: Mapping[str, Any]) -> dict[str, Any]:
    created, owner = told.get("created"), told.get("owned_by")
    return {
        "id": str(told["id"])[:200],
        "object": "model",
        "created": created if type(created) is int else 0,
        "owned_by": owner[:200] if isinstance(owner, str) else "",
    }
