"""Webhooks from a real worker to a real server, verified by OpenAI's own SDK."""

import signal
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
import redis
from openai.types.webhooks import ResponseCompletedWebhookEvent

from tests.support.processes import Worker
from tests.support.wait import wait_until
from tests.support.webhook_receiver import WebhookReceiver
from turnstile.turns.api_keys import new_secret
from turnstile.turns.errors import UnknownTurn
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore

SECRET = new_secret()
LOOPBACK = "127.0.0.0/8"
ENV = {
    "TURNSTILE_WEBHOOK_SECRET": SECRET,
    "TURNSTILE_RETRY_BASE_SECONDS": "0.1",
    "TURNSTILE_SWEEP_SECONDS": "0.1",
    "TURNSTILE_MAX_ATTEMPTS": "1",
}
sdk = openai.OpenAI(api_key="none", webhook_secret=SECRET)


@pytest.fixture
def webhooks(settings: Settings) -> TurnStore:
    return TurnStore(settings)


class Office:
    """A worker with some settings, and the turns that it is given."""

    def __init__(self, url: str, folder: Path, model: str, **env: str) -> None:
        given = {**ENV, "OPENAI_BASE_URL": model, "TURNSTILE_WEBHOOK_NETWORKS": LOOPBACK, **env}
        self.worker = Worker(url, folder, 20, **given)
        self.store = TurnStore(Settings(redis_url=url))

    def ask(self, receiver: WebhookReceiver, id: str = "resp_1", question: str = "hi", key: str = "") -> None:
        self.store.submit(id, f"session-{id}", question, Options(webhook={"url": receiver.url, "key": key}))


@pytest.fixture
def office(redis_url: str, tmp_path: Path, model: str) -> Iterator[Office]:
    made = Office(redis_url, tmp_path, model)
    with made.worker:
        yield made


def _delivered(receiver: WebhookReceiver, count: int = 1) -> None:
    wait_until(lambda: len(receiver.deliveries) >= count, f"{count} deliveries came in")


def test_the_sdk_verifies_what_is_delivered(office: Office, client: redis.Redis) -> None:
    with WebhookReceiver() as receiver:
        office.ask(receiver)
        _delivered(receiver)
        first = receiver.deliveries[0]
    event = sdk.webhooks.unwrap(first.body, first.headers)
    assert isinstance(event, ResponseCompletedWebhookEvent)
    assert event.data.id == "resp_1"
    assert event.id == first.headers["webhook-id"]
    assert event.created_at == int(office.store.status("resp_1").finished or 0)
    assert b"hi" not in first.body
    wait_until(lambda: office.store.look_up("resp_1") is None, "the delivery is noted")
    assert not client.exists("turnstile:webhooks", "turnstile:undelivered", "turnstile:webhook:resp_1")


def test_another_secret_does_not_verify(office: Office) -> None:
    with WebhookReceiver() as receiver:
        office.ask(receiver)
        _delivered(receiver)
        first = receiver.deliveries[0]
    with pytest.raises(openai.InvalidWebhookSignatureError):
        sdk.webhooks.unwrap(first.body, first.headers, secret=new_secret())


def test_a_cancelled_turn_is_told_too(redis_url: str, office: Office) -> None:
    with WebhookReceiver() as receiver:
        office.ask(receiver, question="Never mind")
        office.store.cancel("resp_1")
        _delivered(receiver)
        event = sdk.webhooks.unwrap(receiver.deliveries[0].body, receiver.deliveries[0].headers)
    assert event.type in ("response.cancelled", "response.completed")
    assert event.type == f"response.{office.store.status('resp_1').state}"


def test_a_failed_delivery_is_repeated_under_the_same_id(office: Office) -> None:
    with WebhookReceiver(500, 302, 429) as receiver:
        office.ask(receiver)
        _delivered(receiver, 4)
        wait_until(lambda: office.store.look_up("resp_1") is None, "the delivery is noted")
        assert {d.path for d in receiver.deliveries} == {"/hook"}
        assert len({d.headers["webhook-id"] for d in receiver.deliveries}) == 1
        assert len(receiver.deliveries) == 4
        sdk.webhooks.unwrap(receiver.deliveries[3].body, receiver.deliveries[3].headers)


def test_a_key_whose_server_hangs_keeps_no_other_waiting(office: Office) -> None:
    many = 60
    with WebhookReceiver(*[0] * many) as hanging, WebhookReceiver() as receiver:
        for n in range(many):
            office.ask(hanging, f"resp_slow{n}", key="slow")
        wait_until(lambda: office.store.stats().get("completed") == many, "the turns have ended")
        office.ask(receiver, key="other")
        _delivered(receiver)
        assert 0 < len(hanging.deliveries) < many


def test_those_without_a_place_wait_in_line_and_retries_go_before_them(office: Office, client: redis.Redis) -> None:
    many = 60
    with WebhookReceiver(*[0] * many) as hanging, WebhookReceiver(500, 500) as receiver:
        for n in range(many):
            office.ask(hanging, f"resp_slow{n}", key="slow")
        wait_until(lambda: office.store.stats().get("completed") == many, "the turns have ended")
        wait_until(lambda: client.zcard("turnstile:webhook_line:slow"), "others wait in line")
        office.ask(receiver, key="other")
        _delivered(receiver, 3)
        assert len(hanging.deliveries) < many
        wait_until(lambda: not client.exists("webhooks"), "nothing is sent again")


def test_a_worker_of_other_queues_leaves_webhooks_to_others(
    redis_url: str, tmp_path: Path, model: str, client: redis.Redis
) -> None:
    office = Office(redis_url, tmp_path, model)
    env = {**ENV, "OPENAI_BASE_URL": model, "TURNSTILE_WEBHOOK_NETWORKS": LOOPBACK}
    with WebhookReceiver() as receiver:
        office.ask(receiver)
        with Worker(redis_url, tmp_path, 20, queues="chat", **env):
            wait_until(lambda: office.store.stats().get("completed") == 1, "the turn has ended")
            for _ in range(3):
                client.zadd("turnstile:webhooks", {"resp_1": 0})
                wait_until(lambda: client.zscore("turnstile:webhooks", "resp_1"), "it stands in line")
            assert (office.store.look_up("resp_1") or _NOTHING).phase == "ready"
            assert receiver.deliveries == []


def test_failures_of_one_kind_are_a_line_a_minute(office: Office) -> None:
    many = 20
    with WebhookReceiver(*[500] * 3 * many) as receiver:
        for n in range(many):
            office.ask(receiver, f"resp_{n}")
        wait_until(lambda: office.store.stats().get("webhooks_delivered") == many, "all are delivered")
    lines = [line for line in office.worker.text().splitlines() if "webhook of turn" in line]
    assert sum("attempt 1: http_500, waiting" in line for line in lines) == 1
    assert sum(": delivered" in line for line in lines) == 1
    assert len(lines) == 2


def test_a_killed_worker_loses_no_webhook(office: Office, client: redis.Redis) -> None:
    with WebhookReceiver(0) as receiver:
        office.ask(receiver)
        _delivered(receiver)
        office.worker.kill()
        client.zadd("turnstile:webhooks", {"resp_1": 0})  # its time passes
        office.worker.start()
        _delivered(receiver, 2)
    assert len({d.headers["webhook-id"] for d in receiver.deliveries}) == 1


def test_a_lost_celery_message_loses_no_webhook(redis_url: str, tmp_path: Path, model: str, client: redis.Redis) -> None:
    office = Office(redis_url, tmp_path, model)
    with WebhookReceiver() as receiver:
        office.ask(receiver)
        office.store.cancel("resp_1")
        assert client.delete("webhooks") == 1
        client.zadd("turnstile:webhooks", {"resp_1": 0})
        with office.worker:
            _delivered(receiver)


def test_what_is_given_up_is_listed_and_can_be_sent_again(redis_url: str, tmp_path: Path, model: str) -> None:
    office = Office(redis_url, tmp_path, model, TURNSTILE_WEBHOOK_SECONDS="0.3")
    with WebhookReceiver(*[500] * 3) as receiver, office.worker:
        office.ask(receiver)
        wait_until(lambda: office.store.undelivered() == ["resp_1"], "the webhook is given up")
        tried = len(receiver.deliveries)
        given_up = office.store.look_up("resp_1")
        assert given_up
        assert (given_up.phase, given_up.reason, given_up.attempts) == ("given_up", "http_500", tried)
        receiver._answers.clear()
        office.store.resend_webhook("resp_1")
        _delivered(receiver, tried + 1)
        wait_until(lambda: office.store.look_up("resp_1") is None, "the delivery is noted")
        assert office.store.undelivered() == []
        with pytest.raises(UnknownTurn):
            office.store.resend_webhook("resp_1")


def test_gone_means_gone(office: Office) -> None:
    with WebhookReceiver(410) as receiver:
        office.ask(receiver)
        wait_until(lambda: office.store.undelivered() == ["resp_1"], "the webhook is given up")
        assert len(receiver.deliveries) == 1


_LOOPBACK = {
    **dict.fromkeys(("127.0.0.1", "localhost", "①②⑦.0.0.1", "127。0。0。1", "[::ffff:127.0.0.1]"), "private_address"),
    **dict.fromkeys(("127.1", "2130706433", "0"), "invalid_url"),
}


def test_private_addresses_are_for_those_that_are_allowed(redis_url: str, tmp_path: Path, model: str, store: TurnStore) -> None:
    office = Office(redis_url, tmp_path, model, TURNSTILE_WEBHOOK_NETWORKS="10.0.0.0/8")
    with WebhookReceiver() as receiver, office.worker:
        for n, host in enumerate(_LOOPBACK):
            url = receiver.url.replace("127.0.0.1", host)
            office.store.submit(f"resp_{n}", f"foo-{n}", "hi", Options(webhook={"url": url, "key": ""}))

        def reasons() -> list[str]:
            return [(office.store.look_up(f"resp_{n}") or _NOTHING).reason for n in range(len(_LOOPBACK))]

        wait_until(lambda: reasons() == [*_LOOPBACK.values()], "each address is refused")
        assert receiver.deliveries == []


def test_an_erased_session_tells_nothing(redis_url: str, tmp_path: Path, model: str, client: redis.Redis) -> None:
    office = Office(redis_url, tmp_path, model)
    with WebhookReceiver() as receiver:
        office.ask(receiver)
        office.store.cancel("resp_1")
        office.store.erase("session-resp_1")
        assert not client.exists("turnstile:webhook:resp_1", "turnstile:undelivered")
        with office.worker:
            office.ask(receiver, "resp_2")
            _delivered(receiver)
            assert [d.headers["webhook-id"].split("_")[2] for d in receiver.deliveries] == ["2"]


def test_a_worker_that_ends_delivers_what_it_has_and_takes_no_more(
    redis_url: str, tmp_path: Path, model: str, client: redis.Redis
) -> None:
    many, office = 15, Office(redis_url, tmp_path, model, TURNSTILE_SHUTDOWN_SECONDS="60")
    with WebhookReceiver() as receiver, office.worker:
        receiver.open.clear()
        for n in range(many):
            office.ask(receiver, f"resp_{n}", key="k")
        wait_until(lambda: client.zcard("turnstile:webhook_line:k") == many - 10, "others wait in line")
        _delivered(receiver, 10)
        office.worker.signal(signal.SIGTERM)
        wait_until(lambda: "taking no more turns" in office.worker.text(), "the worker drains")
        office.store.submit("late", "late", "hi", Options(webhook={"url": receiver.url, "key": "another"}))
        office.store.cancel("late")
        wait_until(lambda: (office.store.look_up("late") or _NOTHING).phase == "ready", "the late one waits in line")
        wait_until(lambda: "waiting for them" in office.worker.text(), "nothing but webhooks is under way")
        receiver.open.set()
        assert office.worker.stop() == 0
        assert len(receiver.deliveries) == 10
        assert office.store.stats()["webhooks_delivered"] == 10
        office.worker.start()
        wait_until(lambda: office.store.stats()["webhooks_delivered"] == many + 1, "the others are delivered")
        assert len({d.headers["webhook-id"] for d in receiver.deliveries}) == len(receiver.deliveries) == many + 1


def test_webhooks_over_the_bound_are_told_in_the_log(redis_url: str, tmp_path: Path, model: str) -> None:
    office = Office(redis_url, tmp_path, model, TURNSTILE_MAX_WEBHOOKS="1")
    with WebhookReceiver() as receiver, office.worker:
        receiver.open.clear()
        for n in range(3):
            office.ask(receiver, f"resp_{n}", key="k")
        wait_until(lambda: len(office.store.undelivered()) == 2, "two are given up")
        wait_until(lambda: "their key has TURNSTILE_MAX_WEBHOOKS under way" in office.worker.text(), "it is logged")
        receiver.open.set()
        wait_until(lambda: office.store.stats().get("webhooks_delivered") == 1, "one is delivered")
        for turn in office.store.undelivered():
            wait_until(lambda: office.store.stats()["webhooks_delivered"] == len(receiver.deliveries), "none is under way")
            office.store.resend_webhook(turn)
        wait_until(lambda: office.store.stats()["webhooks_delivered"] == 3, "all are delivered")


class _Nothing:
    reason = phase = ""


_NOTHING = _Nothing()
