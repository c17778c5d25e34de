"""Calls of one API key's requests at Redis."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import Any
from weakref import ref

import pytest

from turnstile.producers.gateway import prompt_store
from turnstile.producers.gateway.edge import loop_accounts
from turnstile.producers.gateway.edge.api_errors import ClientGone
from turnstile.producers.gateway.edge.client_presence import watch_client, without_client
from turnstile.producers.gateway.edge.connections import _EXCHANGE
from turnstile.producers.gateway.edge.loop_accounts import Account
from turnstile.producers.gateway.edge.loop_time import loop_account
from turnstile.producers.gateway.prompt_store import CALLS_OF_A_KEY, PromptStore, api_key
from turnstile.turns.settings import Settings


class Server:
    """A connection that keeps all replies back. `most`: how many were ever outstanding."""

    def __init__(self) -> None:
        self.open: list[asyncio.Future[Any]] = []
        self.asked = asyncio.Event()
        self.most = 0

    def execute(self, *_: Any) -> asyncio.Future[Any]:
        reply = asyncio.get_running_loop().create_future()
        self.open.append(reply)
        self.asked.set()
        self.most = max(self.most, len(self.open))
        return reply

    def answer(self, value: Any = 1) -> None:
        for reply in self.open:
            reply.set_result(value)
        self.open.clear()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """Return the server of all stores."""
    server = Server()
    monkeypatch.setattr(prompt_store, "multiplexer", lambda _: server)
    return server


def ask(store: PromptStore, key: str, account: Account | None = None) -> "asyncio.Task[int]":
    async def count() -> int:
        api_key.set(key)
        loop_account.set(account)
        return await store.count_messages("foo")

    return asyncio.create_task(count())


async def passes(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize(("keys", "most"), [(["one"], CALLS_OF_A_KEY), (["one", "two"], 2 * CALLS_OF_A_KEY), ([""], 100)])
async def test_a_key_has_some_calls_at_once(server: Server, keys: list[str], most: int) -> None:
    store = PromptStore(Settings(redis_url="redis://nowhere"))
    asked = [ask(store, key) for key in keys for _ in range(100)]
    while not all(task.done() for task in asked):
        await passes()
        server.answer()
    assert server.most == most


async def test_a_call_that_is_given_up_keeps_its_place_until_its_reply_has_come(server: Server) -> None:
    store = PromptStore(Settings(redis_url="redis://nowhere"))
    for _ in range(3):
        asked = [ask(store, "one") for _ in range(CALLS_OF_A_KEY)]
        await passes()
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    assert server.most == CALLS_OF_A_KEY
    later = ask(store, "one")
    await passes()
    assert not later.done()
    server.answer()
    await passes()
    server.answer(7)
    assert await later == 7


async def test_large_replies_are_charged_to_their_tenant(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_accounts, "monotonic", lambda: 100.0)
    store, account = PromptStore(Settings(redis_url="redis://nowhere")), Account()
    for reply, rests in ((b"1" * 500_000, False), (b"1" * 50_000_000, True)):
        asked = ask(store, "one", account)
        await passes()
        server.answer(reply)
        await asyncio.wait([asked])
        assert account.rests is rests


async def test_a_tenant_that_rests_makes_one_call_at_a_time(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Account, "owed", 0.001)
    store, account = PromptStore(Settings(redis_url="redis://nowhere")), Account()
    asked = [ask(store, "one", account) for _ in range(5)]
    while not all(task.done() for task in asked):
        await asyncio.sleep(0.005)
        server.answer()
    assert server.most == 1


async def test_calls_that_came_before_the_rest_rest_too(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    store, account = PromptStore(Settings(redis_url="redis://nowhere")), Account()
    asked = [ask(store, "one", account) for _ in range(2 * CALLS_OF_A_KEY)]
    await passes()
    assert len(server.open) == CALLS_OF_A_KEY
    monkeypatch.setattr(Account, "owed", 0.001)
    server.answer()
    server.most = 0
    while not all(task.done() for task in asked):
        await asyncio.sleep(0.005)
        server.answer()
    assert server.most == 1


class Client:
    """A client of the server, and the tasks of its requests."""

    def __init__(self) -> None:
        self.disconnected = False

    def ask(self, key: str, call: Callable[[], Awaitable[Any]], account: Account | None = None) -> "asyncio.Task[Any]":
        async def serve() -> Any:
            api_key.set(key)
            loop_account.set(account)
            watch_client({_EXCHANGE: ref(self)})
            return await call()

        return asyncio.create_task(serve())


@pytest.mark.parametrize("rests", [False, True])
async def test_calls_of_requests_whose_clients_have_left_are_not_made(
    server: Server, monkeypatch: pytest.MonkeyPatch, rests: bool
) -> None:
    store, client, account = PromptStore(Settings(redis_url="redis://nowhere")), Client(), Account()
    monkeypatch.setattr(Account, "owed", 0.001 if rests else 0)
    asked = [client.ask("one", lambda: store.count_messages("foo"), account) for _ in range(100)]
    await server.asked.wait()
    await passes()
    begun = len(server.open)
    client.disconnected = True
    server.answer()
    ends = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(end) for end in ends} == {ClientGone}
    assert begun == (1 if rests else CALLS_OF_A_KEY)
    assert not server.open


@pytest.mark.parametrize("key", ["one", ""])
async def test_a_reply_to_a_request_whose_client_has_left_is_not_read(server: Server, key: str) -> None:
    store, client = PromptStore(Settings(redis_url="redis://nowhere")), Client()
    asked = client.ask(key, lambda: store.status("resp_1"))
    await passes()
    client.disconnected = True
    server.answer([b"of a form that cannot be read"])
    with pytest.raises(ClientGone):
        await asked


@pytest.mark.parametrize("whose", [nullcontext, without_client])
@pytest.mark.parametrize("writes", [True, False])
async def test_work_that_has_begun_to_write_or_that_others_need_goes_on(
    server: Server, whose: Callable[[], Any], writes: bool
) -> None:
    store, client = PromptStore(Settings(redis_url="redis://nowhere")), Client()

    async def work() -> int:
        with whose():
            if writes:
                await store.begin("foo", {}, [], None)
            return await store.count_messages("foo")

    asked = client.ask("one", work)
    while not asked.done():
        await passes()
        server.answer([b"done"] if writes and not client.disconnected else 7)
        client.disconnected = True
        await passes()
        server.answer(7)
    if writes or whose is without_client:
        assert await asked == 7
    else:
        with pytest.raises(ClientGone):
            await asked
