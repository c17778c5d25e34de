"""The edge of requests: who goes on, and when."""

import asyncio
from contextlib import nullcontext
from typing import Any
from unittest.mock import AsyncMock
from weakref import ref

import pytest

from turnstile.producers.gateway.edge import middleware
from turnstile.producers.gateway.edge.api_errors import ApiError, ClientGone
from turnstile.producers.gateway.edge.caller import CALLER, Caller
from turnstile.producers.gateway.edge.client_presence import check_client
from turnstile.producers.gateway.edge.connections import _EXCHANGE
from turnstile.producers.gateway.edge.head import check_head
from turnstile.producers.gateway.edge.middleware import EdgeMiddleware
from turnstile.producers.gateway.edge.open_requests import OpenRequests
from turnstile.producers.gateway.edge.preflights import Preflights


class _Exchange:
    disconnected = False


class _Authenticator:
    def __init__(self) -> None:
        self.requests = OpenRequests(10_000)

        self.counted: list[str] = []

    def admit(self, scope: Any) -> None:
        scope[CALLER] = Caller(api_key=scope["key"])

    async def count(self, id: str) -> list[Any]:
        self.counted.append(id)
        if id == "spent":
            for _ in range(5):
                await asyncio.sleep(0)
            raise ApiError(429, "This key has made its requests.", None, "rate_limit_exceeded")
        return []


class _Gateway:
    """A gateway that notes which requests it has served; each takes several passes of the event loop."""

    def __init__(self) -> None:
        self.served: list[str] = []
        self.authenticator = _Authenticator()
        self._edge = EdgeMiddleware(self._serve, self.authenticator)  # type: ignore[arg-type]  # a stand-in

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:  # ASGI's signature
        self.served.append(scope["key"])
        for _ in range(5):
            await asyncio.sleep(0)
        check_client()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def ask(
        self, key: str, exchange: _Exchange, path: str = "/v1/models", address: str = "", headers: tuple[Any, ...] = ()
    ) -> asyncio.Task[None]:
        scope: dict[str, Any] = {"type": "http", "path": path, "method": "GET", "headers": headers, "key": key}
        scope |= {"client": (address, 1), _EXCHANGE: ref(exchange)}

        async def send(_: Any) -> None: ...

        return asyncio.create_task(self._edge(scope, asyncio.Event().wait, send))  # type: ignore[arg-type]  # nothing comes


async def test_requests_of_one_key_do_not_delay_those_of_another() -> None:
    gateway, there = _Gateway(), _Exchange()
    many = [gateway.ask("greedy", there) for _ in range(500)]
    await gateway.ask("other", there)
    assert gateway.served.count("greedy") <= 15
    await asyncio.gather(*many)
    assert gateway.served.count("greedy") == 500


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ({"query_string": b"include=x&" * 410}, 414),
        ({"raw_path": b"/v1/" + b"x" * 4_093}, 414),
        ({"raw_path": b"/v1/models", "query_string": b"a" * 4_086}, 0),
        ({"headers": [(b"a", b"b")] * 201}, 431),
        ({"headers": [(b"a", b"b")] * 200}, 0),
    ],
)
def test_a_head_is_bounded(head: dict[str, Any], status: int) -> None:
    with pytest.raises(ApiError) if status else nullcontext() as refused:
        check_head({"headers": [], **head})
    assert not refused or refused.value.status == status


async def test_requests_whose_clients_have_left_are_not_begun() -> None:
    gateway = _Gateway()
    there, leaving = _Exchange(), _Exchange()
    many = [gateway.ask("greedy", leaving) for _ in range(500)]
    await asyncio.sleep(0)
    leaving.disconnected = True
    await gateway.ask("greedy", there)
    await asyncio.gather(*many, return_exceptions=True)
    assert len(gateway.served) <= 10


async def test_requests_are_served_as_long_as_their_clients_are_there() -> None:
    gateway, leaving = _Gateway(), _Exchange()
    asked = [gateway.ask(key, leaving) for key in ("one", "")]
    for _ in range(2):
        await asyncio.sleep(0)
    assert len(gateway.served) == 2
    leaving.disconnected = True
    ends = await asyncio.gather(*asked, gateway.ask("", leaving, "/healthz"), return_exceptions=True)
    assert [type(end) for end in ends] == [ClientGone, ClientGone, type(None)]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_probes_wait_behind_no_request(path: str) -> None:
    gateway, there = _Gateway(), _Exchange()
    # A gateway without keys has one rotation for all.
    many = [gateway.ask("", there) for _ in range(500)]
    await gateway.ask("", there, path)
    assert len(gateway.served) <= 15
    await asyncio.gather(*many)


async def test_probes_of_one_address_delay_nobody_else() -> None:
    gateway, there = _Gateway(), _Exchange()
    many = [gateway.ask("", there, "/healthz", "192.0.2.1") for _ in range(500)]
    await gateway.ask("other", there)
    await gateway.ask("", there, "/readyz", "192.0.2.2")
    assert len(gateway.served) <= 60
    await asyncio.gather(*many)
    assert len(gateway.served) == 502


async def test_requests_that_are_refused_for_their_number_delay_nobody_else() -> None:
    gateway, there = _Gateway(), _Exchange()
    many = [gateway.ask("spent", there) for _ in range(500)]
    await gateway.ask("other", there)
    assert gateway.authenticator.counted.count("spent") <= 60
    await asyncio.gather(*many)
    assert gateway.served == ["other"]


async def test_so_many_connections_wait_for_the_rest_of_a_body(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "MOST_LINGERING", 3)
    gateway, there = _Gateway(), _Exchange()
    body = ((b"content-length", b"100000"),)
    asked = [gateway.ask(f"key {number}", there, headers=body) for number in range(10)]
    await asyncio.wait(asked, timeout=1)
    assert sum(task.done() for task in asked) == 7
    for task in asked:
        task.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    assert middleware._lingering.count == 0


async def test_preflights_of_one_address_delay_nobody_else() -> None:
    gateway, served = _Gateway(), []
    cors = Preflights(AsyncMock(), allow_origins=["https://app.example.com"])

    async def ask() -> None:
        headers = [(b"origin", b"https://app.example.com"), (b"access-control-request-method", b"POST")]
        scope = {"type": "http", "method": "OPTIONS", "path": "/v1/responses", "headers": headers, "client": ("192.0.2.1", 1)}
        await cors(scope, AsyncMock(), AsyncMock())
        served.append(scope)

    many = [asyncio.create_task(ask()) for _ in range(500)]
    await gateway.ask("other", _Exchange())
    assert len(served) <= 60
    await asyncio.gather(*many)
