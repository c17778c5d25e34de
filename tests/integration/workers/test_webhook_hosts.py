"""Hosts of webhooks whose names lead elsewhere than they should, or nowhere; 127.0.0.1 is the only address that is allowed."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from tests.support.flooding import flooding
from tests.support.wait import wait_until_async
from tests.support.webhook_receiver import WebhookReceiver
from turnstile.turns.api_keys import new_secret
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore
from turnstile.workers.webhooks.resolver import Resolver
from turnstile.workers.webhooks.sender import WebhookSender

OPEN, PRIVATE = "127.0.0.1", "127.0.0.2"
Answer = Callable[[], list[str]]


class Names:
    """Answers of a name server, by host."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self._usual = socket.getaddrinfo

    def getaddrinfo(self, host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host not in self.answers:
            return self._usual(host, port, *args, **options)
        self.asked.append(host)
        families = {False: socket.AF_INET, True: socket.AF_INET6}
        return [(families[":" in it], socket.SOCK_STREAM, 6, "", (it, port)) for it in self.answers[host]()]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    names = Names()
    monkeypatch.setattr(socket, "getaddrinfo", names.getaddrinfo)
    return names


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as receiver:
        yield receiver


@pytest.fixture
async def sender(redis_url: str) -> AsyncIterator[WebhookSender]:
    options = {"webhook_networks": f"{OPEN}/32", "webhook_secret": new_secret(), "retry_base_seconds": 0.1}
    sender = WebhookSender(Settings.model_validate({"redis_url": redis_url, **options}))
    yield sender
    await sender.close()


def _tell(sender: WebhookSender, store: TurnStore, receiver: WebhookReceiver, host: str, id: str = "a") -> None:
    url = receiver.url.replace(OPEN, host)
    store.submit(id, id, "hi", Options(webhook={"url": url, "key": host}))
    store.cancel(id)
    sender.notify(id)


async def _until(what: Callable[[], bool], description: str) -> None:
    await wait_until_async(lambda: asyncio.to_thread(what), description)


async def _reason(store: TurnStore, id: str = "a") -> str:
    """Return why the first attempt failed; empty if it did not."""

    def told() -> bool:
        found = store.look_up(id)
        return found is None or bool(found.reason)

    await _until(told, "an attempt is over")
    found = store.look_up(id)
    return found.reason if found else ""


@pytest.mark.parametrize("addresses", [[PRIVATE, OPEN], ["::1", "fe80::1", "::ffff:127.0.0.2", "64:ff9b::7f00:2", OPEN]])
async def test_of_several_addresses_the_allowed_are_called(
    sender: WebhookSender, store: TurnStore, receiver: WebhookReceiver, names: Names, addresses: list[str]
) -> None:
    names.answers["several.test"] = lambda: addresses
    _tell(sender, store, receiver, "several.test")
    assert await _reason(store) == ""
    assert [one.headers["host"] for one in receiver.deliveries] == [f"several.test:{receiver.port}"]


@pytest.mark.parametrize("address", [PRIVATE, "::1", "fe80::1", "::ffff:127.0.0.2", "64:ff9b::7f00:2", "169.254.169.254"])
async def test_a_name_that_leads_to_a_private_address_is_refused(
    sender: WebhookSender, store: TurnStore, receiver: WebhookReceiver, names: Names, address: str
) -> None:
    names.answers["private.test"] = lambda: [address]
    _tell(sender, store, receiver, "private.test")
    assert await _reason(store) == "private_address"
    assert receiver.deliveries == []


async def test_a_name_that_leads_elsewhere_at_each_attempt_is_checked_each_time(
    sender: WebhookSender, store: TurnStore, names: Names
) -> None:
    ways = [OPEN, PRIVATE, OPEN]
    names.answers["turning.test"] = lambda: [ways.pop(0)] if ways else []
    with WebhookReceiver(500) as receiver:
        _tell(sender, store, receiver, "turning.test")
        for reason, deliveries in (("http_500", 1), ("private_address", 1), ("", 2)):
            await _until(lambda: (store.look_up("a") or _Gone).reason == reason, reason or "delivered")  # noqa: B023
            assert len(receiver.deliveries) == deliveries
            await _until(lambda: _is_due(store), "the next attempt is due")
            await sender.remind()


def _is_due(store: TurnStore) -> bool:
    for turn in store.undelivered(given_up=False):
        store.client.zadd(store.keys.webhooks, {turn: 1})
    return True


class _Gone:
    reason = ""


async def test_a_redirect_to_a_private_address_is_not_followed(sender: WebhookSender, store: TurnStore, names: Names) -> None:
    names.answers["moved.test"] = lambda: [OPEN]
    with WebhookReceiver(302) as receiver:
        _tell(sender, store, receiver, "moved.test")
        assert await _reason(store) == "http_302"
        assert len(receiver.deliveries) == 1


async def test_a_name_server_that_does_not_answer_holds_up_nothing_else(
    sender: WebhookSender, store: TurnStore, receiver: WebhookReceiver, names: Names
) -> None:
    answers = threading.Event()
    names.answers["silent.test"] = lambda: [OPEN] if answers.wait() else []
    names.answers["quick.test"] = lambda: [OPEN]
    try:
        for number in range(30):
            _tell(sender, store, receiver, "silent.test", f"silent{number}")
        await _until(lambda: bool(names.asked), "the name server is asked")
        _tell(sender, store, receiver, "quick.test")
        assert await _reason(store) == ""
        # Those of one host wait for one answer.
        assert names.asked == ["silent.test", "quick.test"]
    finally:
        answers.set()
    await _until(lambda: len(receiver.deliveries) == 31, "all are delivered")


async def test_a_few_of_many_addresses_are_tried(names: Names) -> None:
    names.answers["many.test"] = lambda: [f"203.0.113.{number}" for number in range(200)]
    assert [found["host"] for found in await Resolver().resolve("many.test", 443)] == [f"203.0.113.{n}" for n in range(8)]


async def test_what_is_no_name_is_an_error_of_the_network() -> None:
    with pytest.raises(OSError, match="no name"):
        await Resolver().resolve("a" * 64, 443)


@pytest.mark.parametrize("flood", ["interim responses", "a line of a head"])
async def test_a_receiver_that_floods_is_a_failed_attempt(sender: WebhookSender, store: TurnStore, flood: str) -> None:
    async with flooding(flood) as url:
        store.submit("a", "a", "hi", Options(webhook={"url": url.replace("127.0.0.1", OPEN), "key": OPEN}))
        store.cancel("a")
        sender.notify("a")
        assert await _reason(store) in ("ClientPayloadError", "ClientResponseError")
