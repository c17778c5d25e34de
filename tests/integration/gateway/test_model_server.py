"""Requests that the gateway passes to the model's server: embeddings, moderations, and its list of models."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any
from weakref import ref

import httpx
import openai
import pytest
from pydantic import SecretStr

from tests.support.flooding import FLOODS, flooding
from tests.support.gateways import Gateway
from tests.support.processes import offline_model
from tests.support.wait import PATIENCE_SECONDS, wait_until_async
from turnstile.producers.gateway.edge.api_errors import ApiError
from turnstile.producers.gateway.edge.body import MOST_NUMBERS
from turnstile.producers.gateway.edge.caller import Caller
from turnstile.producers.gateway.edge.client_presence import watch_client
from turnstile.producers.gateway.edge.connections import _EXCHANGE
from turnstile.producers.gateway.model_server import client
from turnstile.producers.gateway.model_server.client import AT_ONCE_OF_A_TENANT, ModelServer
from turnstile.producers.gateway.prompt_store import PromptStore
from turnstile.turns.api_keys import Limits
from turnstile.turns.errors import QuotaExceeded
from turnstile.turns.model_names import budget_name, server_name
from turnstile.turns.settings import Settings
from turnstile.turns.store.budgets import CallLimits, ModelCall, Passing
from turnstile.turns.store.turns import AsyncTurnStore, TurnStore
from turnstile.turns.token_estimate import prompt_tokens
from turnstile.workers.offline.server import OfflineModel

BODY = b'{"model": "m", "input": "hello"}'


def near(one: Sequence[float], other: Sequence[float]) -> float:
    return math.fsum(a * b for a, b in zip(one, other, strict=True))


def test_embeddings(sdk: openai.OpenAI) -> None:
    made = sdk.embeddings.create(model="text-embedding-3-small", input=["the red house", "a red house", "seven wet dogs"])
    assert made.model == "offline-stand-in"  # it says so
    assert made.usage.prompt_tokens == 9
    house, other, dogs = (one.embedding for one in made.data)
    assert len(house) == 1_536
    assert near(house, other) > 0.5 > near(house, dogs)
    plain = sdk.embeddings.create(model="m", input="the red house", encoding_format="float", dimensions=64, user="u")
    assert len(plain.data[0].embedding) == 64
    tokens = sdk.embeddings.create(model="m", input=[[1, 2, 3], [4]])
    assert len(tokens.data) == 2
    assert len(sdk.embeddings.create(model="m", input=[1, 2, 3]).data) == 1
    assert len(sdk.embeddings.create(model="m", input=list(range(MOST_NUMBERS - 10))).data) == 1  # far more than in a turn


def test_moderations(sdk: openai.OpenAI) -> None:
    fine, bad = sdk.moderations.create(input=["what a day", "I will kill him"]).results
    assert not fine.flagged
    assert bad.flagged
    assert bad.categories.violence
    picture: Any = {"type": "image_url", "image_url": {"url": "http://10.0.0.1/a.png"}}
    with pytest.raises(openai.BadRequestError, match="https"):
        sdk.moderations.create(input=[{"type": "text", "text": "hi"}, picture])


def test_models_are_this_deployments_and_the_servers(sdk: openai.OpenAI) -> None:
    models = list(sdk.models.list())
    names = [model.id for model in models]
    assert names == ["gpt-4o-mini", "offline-stand-in"]
    assert [model.owned_by for model in models] == ["turnstile", "offline-stand-in"]  # the page offers this deployment's own
    assert [sdk.models.retrieve(name).id for name in names] == names
    with pytest.raises(openai.NotFoundError):
        sdk.models.retrieve("another")


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("embeddings", {"input": "hi"}, "model"),
        ("embeddings", {"model": "m"}, "input"),
        ("embeddings", {"model": "m", "input": ""}, "input"),
        ("embeddings", {"model": "m", "input": []}, "input"),
        ("embeddings", {"model": "m", "input": ["a"] * 2_049}, "input"),
        ("embeddings", {"model": "m", "input": ["a", 1]}, "input"),
        ("embeddings", {"model": "m", "input": "a", "dimensions": 0}, "dimensions"),
        (
            "embeddings",
            {"model": "m", "input": "a", "messages": [{"content": [{"image_url": "http://10.0.0.1/"}]}]},
            "messages",
        ),
        ("embeddings", {"model": "m", "input": "a", "image": "http://10.0.0.1/"}, "image"),
        ("moderations", {"input": "a", "image_url": "file:///etc/passwd"}, "image_url"),
        ("moderations", {"input": [[1]]}, "input[0]"),
        ("moderations", {}, "input"),
    ],
)
def test_what_cannot_be_passed_on_is_refused(http: httpx.Client, path: str, body: dict[str, Any], param: str) -> None:
    refused = http.post(f"/v1/{path}", json=body)
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == param


def test_a_gateway_asks_the_server_of_its_settings(redis_url: str, tmp_path: Path) -> None:
    with offline_model() as model, Gateway(redis_url, tmp_path, OPENAI_BASE_URL=model) as gateway, gateway.sdk() as sdk:
        made = sdk.embeddings.create(model="m", input="hi", extra_body={"truncate": "END"})
        assert made.data
        assert "offline-stand-in" in [one.id for one in sdk.models.list()]


def test_a_gateway_without_a_server_says_so_and_a_strict_one_passes_openais_parameters_alone(
    redis_url: str, tmp_path: Path
) -> None:
    with Gateway(redis_url, tmp_path, TURNSTILE_STRICT_PARAMETERS="true") as gateway, gateway.http() as http:
        refused = http.post("/v1/embeddings", json={"model": "m", "input": "hi"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "no_model_server")
        assert refused.headers["x-should-retry"] == "false"
        strange = http.post("/v1/embeddings", json={"model": "m", "input": "hi", "truncate": "END"})
        assert (strange.status_code, strange.json()["error"]["param"]) == (400, "truncate")
        assert [model["id"] for model in http.get("/v1/models").json()["data"]] == ["gpt-4o-mini"]


@pytest.fixture
async def model() -> AsyncIterator[OfflineModel]:
    async with OfflineModel() as server:
        yield server


@asynccontextmanager
async def asking(
    redis: Settings, model: OfflineModel, seconds: float = PATIENCE_SECONDS, store: AsyncTurnStore | None = None
) -> AsyncIterator[ModelServer]:
    named = {"openai_base_url": model.base_url, "openai_api_key": SecretStr("sk-1"), "model_timeout": seconds}
    settings = redis.model_copy(update=named)
    server = ModelServer(settings, store or AsyncTurnStore(settings))
    yield server
    await server.close()


@pytest.fixture
async def passing(settings: Settings, model: OfflineModel) -> AsyncIterator[ModelServer]:
    async with asking(settings, model) as server:
        yield server


def told(directive: str) -> bytes:
    return b'{"model": "m", "input": "hello [[%s]]"}' % directive.encode()


@pytest.mark.parametrize(
    ("directive", "status", "code", "headers"),
    [
        ("fail=400", 400, "invalid_request", {"x-should-retry": "false"}),
        ("fail=401", 502, "authentication", {"x-should-retry": "false"}),
        ("fail=404", 400, "invalid_request", {"x-should-retry": "false"}),
        ("fail=429 retry-after=7", 429, "rate_limit_exceeded", {"retry-after": "7"}),
        ("fail=insufficient_quota", 429, "rate_limit_exceeded", {"x-should-retry": "false"}),
        ("fail=503", 502, "model_overloaded", {}),
        ("fail=context_length_exceeded", 400, "context_length_exceeded", {"x-should-retry": "false"}),
        ("refuse", 502, "model_unreachable", {}),
    ],
)
async def test_a_servers_error_is_the_one_of_a_turn(
    passing: ModelServer, directive: str, status: int, code: str, headers: dict[str, str]
) -> None:
    with pytest.raises(ApiError) as error:
        await passing.ask("embeddings", told(directive), Caller())
    assert (error.value.status, error.value.code, error.value.headers) == (status, code, headers)


async def test_an_answer_is_bounded(passing: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await passing.ask("embeddings", BODY, Caller())
    monkeypatch.setattr(client, "MOST_ANSWER_BYTES", 1_000)
    with pytest.raises(ApiError) as error:
        await passing.ask("embeddings", BODY, Caller())
    assert (error.value.status, error.value.code) == (502, "answer_too_large")


async def test_an_answer_counts_among_the_bytes_of_its_key(passing: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnstile.producers.gateway.edge.body.BODIES_OF_A_KEY", 1_000)
    for _ in range(2):
        with pytest.raises(ApiError) as error:
            await passing.ask("embeddings", BODY, Caller("acme", "k1"))
        assert (error.value.status, error.value.code) == (429, "too_many_bytes")


@pytest.mark.parametrize("login", ["", "me:secret@"])
async def test_the_key_or_the_login_in_the_url_is_sent(login: str) -> None:
    seen: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        url = f"http://{login}127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
        settings = Settings(openai_base_url=url, openai_api_key=SecretStr("sk-1"))
        server = ModelServer(settings, AsyncTurnStore(settings))
        assert await server.ask("embeddings", BODY, Caller()) == b"{}"
        await server.close()
    assert seen[0].startswith("post /v1/embeddings ")
    assert ("authorization: basic " if login else "authorization: bearer sk-1\r\n") in seen[0]


@pytest.mark.parametrize("flood", FLOODS)
async def test_a_flood_beside_the_answer_is_a_server_out_of_reach(settings: Settings, flood: str) -> None:
    async with flooding(flood) as url:
        server = ModelServer(settings.model_copy(update={"openai_base_url": url}), AsyncTurnStore(settings))
        with pytest.raises(ApiError) as error:
            await server.ask("embeddings", BODY, Caller())
        await server.close()
    assert (error.value.status, error.value.code) == (502, "model_unreachable")


async def test_a_silent_server_is_a_time_out(settings: Settings, model: OfflineModel) -> None:
    async with asking(settings, model, seconds=0.5) as server:
        with pytest.raises(ApiError) as error:
            await server.ask("embeddings", told("hang"), Caller())
    assert (error.value.status, error.value.code) == (504, "model_timeout")


async def test_a_tenant_waits_for_its_own_requests_alone(passing: ModelServer, model: OfflineModel) -> None:
    async def open_requests(count: int) -> None:
        async def look() -> bool:
            return model.stats.open == count

        await wait_until_async(look, f"{count} requests are open")

    slow = [asyncio.create_task(passing.ask("embeddings", told("hang"), Caller("slow"))) for _ in range(20)]
    await open_requests(AT_ONCE_OF_A_TENANT)
    assert await passing.ask("embeddings", BODY, Caller("quick"))
    assert model.stats.open == AT_ONCE_OF_A_TENANT
    for task in slow:
        task.cancel()
    await asyncio.wait(slow)
    await open_requests(0)  # a caller that leaves ends its request


async def test_tokens_count_for_the_tenant(passing: ModelServer, settings: Settings) -> None:
    passing._settings = passing._settings.model_copy(update={"prices": '{"m": [1000, 0]}'})
    quotas = Limits(tokens_per_day=3).quotas
    for _ in range(3):
        assert await passing.ask("embeddings", BODY, Caller("acme", quotas=quotas), "m")
    with pytest.raises(QuotaExceeded) as error:
        await passing.ask("embeddings", BODY, Caller("acme", quotas=quotas), "m")
    assert error.value.quota == "tokens_per_day"
    [acme] = [tenant for tenant in TurnStore(settings).tenants() if tenant.name == "acme"]
    assert (acme.tokens, acme.cost, acme.turns) == (3, 0.003, 0)


def budgeted(settings: Settings, **limits: int) -> Settings:
    return settings.model_copy(update={"model_budgets": json.dumps({"m": limits})})


async def test_a_request_without_a_place_is_refused_and_told_when_to_ask_again(settings: Settings, model: OfflineModel) -> None:
    async with asking(budgeted(settings, requests=4), model) as server:
        assert await server.ask("embeddings", BODY, Caller("acme"), "m")
        with pytest.raises(ApiError) as error:
            await server.ask("embeddings", BODY, Caller("acme"), "m")
        assert await server.ask("embeddings", BODY, Caller("acme"), "other")
    assert (error.value.status, error.value.code) == (429, "rate_limit_exceeded")
    assert 5 < float(error.value.headers["retry-after"]) <= 16
    assert model.stats.requests == 2


async def test_requests_wait_for_their_moment(settings: Settings, model: OfflineModel) -> None:
    async with asking(budgeted(settings, requests=60), model) as server:
        began = monotonic()
        await asyncio.gather(*(server.ask("embeddings", BODY, Caller("acme"), "m") for _ in range(4)))
    assert monotonic() - began > 1
    assert model.stats.completed == 4


async def test_as_many_requests_are_under_way_as_may_be_and_one_that_is_left_makes_room(
    settings: Settings, model: OfflineModel
) -> None:
    async with asking(budgeted(settings, concurrent=1), model) as server:
        left = asyncio.create_task(server.ask("embeddings", told("hang"), Caller("acme"), "m"))

        async def is_open() -> bool:
            return model.stats.open == 1

        await wait_until_async(is_open, "one is under way")
        waiting = asyncio.create_task(server.ask("embeddings", BODY, Caller("acme"), "m"))
        turns = AsyncTurnStore(settings)
        name = budget_name(server_name(model.base_url, "sk-1"), "m")
        call = ModelCall(Passing("nonce", "other/"), 1, name, 1)
        assert not (await turns.reserve_call(call, CallLimits(concurrent=1))).granted
        left.cancel()
        assert await waiting


async def test_a_server_that_asks_for_patience_is_not_asked_again_before(settings: Settings, model: OfflineModel) -> None:
    async with asking(settings, model) as server:
        for refusal in range(2):
            with pytest.raises(ApiError) as error:
                await server.ask("embeddings", told("fail=429 retry-after=30"), Caller("acme"), "m")
            assert (error.value.status, error.value.code, model.stats.requests) == (429, "rate_limit_exceeded", 1), refusal
            await server._budgets.close()
        assert 25 <= int(error.value.headers["retry-after"]) <= 30
        # It may have been the question of this tenant: others are told only when they are refused as well.
        assert await server.ask("embeddings", BODY, Caller("umbrella"), "m")


class Leaving:
    """A client that disconnects."""

    disconnected = False


async def test_a_request_that_is_left_or_whose_answer_is_dropped_counts_what_was_asked(
    settings: Settings, model: OfflineModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    client_of_it = Leaving()

    async def leave(server: ModelServer) -> None:
        watch_client({_EXCHANGE: ref(client_of_it)})
        await server.ask("embeddings", told("hang"), Caller("left"))

    async def counted(tenant: str, tokens: int) -> None:
        async def look() -> bool:
            return [one.tokens for one in TurnStore(settings).tenants() if one.name == tenant] == [tokens]

        await wait_until_async(look, f"{tokens} tokens of {tenant} are counted")

    async with asking(settings, model, store=PromptStore(settings)) as server:
        left = asyncio.create_task(leave(server))

        async def is_asked() -> bool:
            return model.stats.open == 1

        await wait_until_async(is_asked, "the server is asked")
        client_of_it.disconnected = True
        left.cancel()
        await counted("left", prompt_tokens(told("hang")))
        monkeypatch.setattr(client, "MOST_ANSWER_BYTES", 1_000)
        with pytest.raises(ApiError):
            await server.ask("embeddings", BODY, Caller("dropped"))
        await counted("dropped", prompt_tokens(BODY))
        with pytest.raises(ApiError):
            await server.ask("embeddings", told("fail=400"), Caller("refused"))
    assert "refused" not in {tenant.name for tenant in TurnStore(settings).tenants()}


@pytest.mark.parametrize(
    ("answer", "tokens"),
    [
        (b'{"usage": {"total_tokens" : 7}, "data": []}', 7),
        (b'{"data": [' + b"0," * 9_000 + b'0], "usage": {"prompt_tokens": 3, "total_tokens": 12}}', 12),
        (b'{"data": []}', 0),
    ],
)
def test_tokens_are_read_at_either_end(answer: bytes, tokens: int) -> None:
    assert client.tokens_of(answer) == tokens
