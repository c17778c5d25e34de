"""The scripts of webhooks: what becomes of a webhook between a turn's end and its delivery."""

import json
from typing import Any

import pytest
import redis

from turnstile.turns.errors import TooManyWaiting, UnknownTurn
from turnstile.turns.output import approval_request, called, said
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.store.webhooks import Delivery, Undelivered
from turnstile.turns.store.working import Outcome
from turnstile.turns.turn import Claim

URL = "https://hooks.example.com/x"


@pytest.fixture
def store(redis_url: str) -> TurnStore:
    return TurnStore(Settings(redis_url=redis_url, webhook_seconds=60, max_attempts=1))


def _ask(store: TurnStore, id: str = "a", **webhook: str) -> None:
    store.submit(id, "foo", "hi", Options(webhook=webhook))


def _end(store: TurnStore, state: State = State.COMPLETED, id: str = "a") -> None:
    claim = store.claim(id, "w", "n")
    assert isinstance(claim, Claim)
    store.finish(claim, Outcome(state, said("yes" if state.answered else ""), code="" if state.answered else "internal"))


def _cancelled(store: TurnStore) -> None:
    _ask(store, url=URL, key="k")
    store.cancel("a")


def _posted(client: Any) -> list[str]:
    """Return turns whose Celery message is in the queue, oldest first."""
    return [json.loads(json.loads(raw)["body"])[0][0] for raw in reversed(client.lrange("webhooks", 0, -1))]


def _take(store: TurnStore) -> Delivery:
    delivery = store.claim_webhook("a")
    assert delivery
    return delivery


def _known(store: TurnStore) -> Undelivered:
    known = store.look_up("a")
    assert known
    return known


def test_open_calls_are_named_without_their_arguments(store: TurnStore) -> None:
    _ask(store, url=URL, key="k")
    claim = store.claim("a", "w", "n")
    assert isinstance(claim, Claim)
    calls = (called("call_1", "weather", '{"city":"a secret"}'), approval_request("i", 0, "pay", '{"to":"a secret"}'))
    store.finish(claim, Outcome(State.COMPLETED, calls), ["a message"])
    assert json.loads(_take(store).body())["data"] == {
        "id": "a",
        "calls": [
            {"type": "function_call", "id": "call_1", "name": "weather"},
            {"type": "mcp_approval_request", "id": calls[1]["id"], "name": "pay"},
        ],
    }


def test_what_a_content_filter_stopped_is_incomplete(store: TurnStore) -> None:
    _ask(store, url=URL, key="k")
    claim = store.claim("a", "w", "n")
    assert isinstance(claim, Claim)
    store.finish(claim, Outcome(State.FAILED, code="content_filter"))
    assert json.loads(_take(store).body())["type"] == "response.incomplete"


@pytest.mark.parametrize("state", [State.COMPLETED, State.FAILED, State.INCOMPLETE])
def test_an_end_is_noted_and_sent_off(store: TurnStore, client: redis.Redis, state: State) -> None:
    _ask(store, url=URL, key="k")
    assert store.look_up("a") is None
    _end(store, state)
    assert _posted(client) == ["a"]
    delivery = _take(store)
    assert (delivery.turn, delivery.type, delivery.attempt) == ("a", f"response.{state}", 1)
    assert (delivery.url, delivery.key) == (URL, "k")
    assert delivery.created == store.status("a").finished
    assert delivery.event.startswith("evt_a_")
    body = json.loads(delivery.body())
    assert body == {
        "id": delivery.event,
        "object": "event",
        "created_at": int(delivery.created),
        "type": delivery.type,
        "data": {"id": "a"},
    }


def test_a_cancelled_turn_and_a_lost_one_are_told_too(store: TurnStore, client: Any) -> None:
    _cancelled(store)
    assert _take(store).type == "response.cancelled"
    _ask(store, "b", url=URL)
    store.claim("b", "w", "n")
    client.hset(store.keys.session("foo"), "lease", 1)
    client.zadd(store.keys.due, {"foo": 1})
    store.sweep()
    delivery = store.claim_webhook("b")
    assert delivery
    assert delivery.type == "response.failed"


def test_the_message_is_one_that_celery_reads(store: TurnStore, client: Any) -> None:
    _cancelled(store)
    message = json.loads(client.lindex("webhooks", 0))
    assert message["headers"]["task"] == "workers.notify"
    assert message["headers"]["id"] == message["properties"]["delivery_tag"]
    assert message["properties"]["delivery_info"] == {"exchange": "", "routing_key": "webhooks"}
    assert URL not in json.dumps(message)


@pytest.mark.parametrize(
    ("webhook", "noted"), [({"url": {}}, False), ({"url": ["x"], "key": "k"}, False), ({"url": URL, "key": [1]}, True)]
)
def test_a_webhook_of_another_form_keeps_no_turn_from_its_end(
    store: TurnStore, client: Any, webhook: dict[str, Any], noted: bool
) -> None:
    store.submit("a", "foo", "hi", Options())
    client.hset(store.keys.turn("a"), "options", json.dumps({"webhook": webhook}, separators=(",", ":")))
    _end(store)
    assert store.status("a").state is State.COMPLETED
    assert client.exists(store.keys.webhook("a")) == noted
    store.submit("b", "foo", "hi")
    _end(store, id="b")
    assert store.status("b").state is State.COMPLETED


def test_without_a_webhook_nothing_is_noted(store: TurnStore, client: Any) -> None:
    store.submit("a", "foo", "hi", Options(metadata={"note": '"webhook":{"url":"x"}'}, instructions='{"webhook":1}'))
    _end(store)
    assert not client.exists("webhooks", store.keys.webhooks, store.keys.webhook("a"))


def test_it_is_taken_once(store: TurnStore) -> None:
    _cancelled(store)
    assert store.claim_webhook("a")
    assert store.claim_webhook("a") is None
    assert store.claim_webhook("nothing") is None


def test_a_delivery_leaves_nothing(store: TurnStore, client: Any) -> None:
    _cancelled(store)
    delivery = _take(store)
    assert store.record_delivery(delivery) == "delivered"
    assert store.record_delivery(delivery) == "superseded"
    assert not client.exists(store.keys.webhooks, store.keys.webhook("a"), store.keys.undelivered)
    assert store.stats()["webhooks_delivered"] == 1
    with pytest.raises(UnknownTurn):
        store.resend_webhook("a")


def test_a_failed_attempt_is_repeated_when_its_time_comes(store: TurnStore, client: Any) -> None:
    _cancelled(store)
    first = _take(store)
    assert store.record_delivery(first, "http_500", 30) == "waiting"
    assert store.record_delivery(first, "http_500", 30) == "superseded"
    assert (_known(store).phase, _known(store).reason) == ("waiting", "http_500")
    client.delete("webhooks")
    assert store.retry_webhooks()[:2] == (0, 0)
    client.zadd(store.keys.webhooks, {"a": 1})
    assert store.retry_webhooks()[:2] == (1, 1)
    assert _posted(client) == []
    second = store.claim_webhook()
    assert second
    assert (second.event, second.attempt) == (first.event, 2)


def test_an_attempt_that_is_taken_for_lost_has_nothing_to_tell(store: TurnStore, client: Any) -> None:
    _cancelled(store)
    lost = _take(store)
    client.zadd(store.keys.webhooks, {"a": 1})
    assert store.retry_webhooks()[:2] == (1, 1)
    assert store.record_delivery(lost) == "superseded"
    again = store.claim_webhook()
    assert again
    assert store.record_delivery(lost, "timeout", 0) == "superseded"
    assert store.record_delivery(again) == "delivered"


def test_a_message_that_still_stands_in_its_queue_finds_nothing_to_do(store: TurnStore, client: Any) -> None:
    _cancelled(store)
    client.zadd(store.keys.webhooks, {"a": 1})
    assert store.retry_webhooks()[:2] == (1, 1)
    assert _posted(client) == ["a"]
    assert store.claim_webhook("a") is None
    assert store.claim_webhook()
    assert store.claim_webhook() is None


def _lined(store: TurnStore, client: Any, *names: str) -> None:
    """Have webhooks wait in the lines of their keys, each named by its key and a number."""
    for name in names:
        store.submit(name, name, "hi", Options(webhook={"url": URL, "key": name.rstrip("0123456789")}))
        store.cancel(name)
        client.zadd(store.keys.webhooks, {name: 1})
        store.retry_webhooks()


def _turns(store: TurnStore, *full: str) -> list[str]:
    """Take all that waits, but for keys that are full."""
    return [delivery.turn for delivery in iter(lambda: store.claim_webhook("", full), None) if delivery]


def test_keys_are_served_in_turn(store: TurnStore, client: Any) -> None:
    _lined(store, client, "a1", "a2", "a3", "b1", "c1", "c2", "1")
    assert _turns(store) == ["a1", "b1", "c1", "1", "a2", "c2", "a3"]
    assert not client.keys(store.keys.webhook_line("*"))
    assert store.retry_webhooks()[:2] == (0, 0)


def test_one_without_a_place_waits_in_line_and_is_sent_no_more(store: TurnStore, client: Any) -> None:
    for full in ("k", "*"):
        _cancelled(store)
        client.delete("webhooks")
        assert store.claim_webhook("a", ["x", full]) is None
        assert _known(store).phase == "ready"
        assert store.retry_webhooks()[:2] == (0, 1)
        assert store.undelivered(given_up=False) == ["a"]
        assert _posted(client) == []
        assert _turns(store, "k", "x") == []
        assert _turns(store, "x") == ["a"]
        client.flushdb()


def test_what_is_gone_is_taken_out_of_its_line(store: TurnStore, client: Any) -> None:
    _lined(store, client, *(f"a{number}" for number in range(130)), "b1")
    for number in range(130):
        client.delete(store.keys.webhook(f"a{number}"))
    assert _turns(store) == []
    assert _turns(store) == ["b1"]
    assert not client.exists(store.keys.webhook_line("a"), store.keys.webhook_line("b"), store.keys.webhook_lines)


def test_a_place_in_line_that_is_lost_is_found_again(store: TurnStore, client: Any) -> None:
    _lined(store, client, "a1", "a2")
    client.delete(store.keys.webhook_lines)
    client.zrem(store.keys.webhook_line("a"), "a1")
    for name in ("a1", "a2"):
        client.zadd(store.keys.webhooks, {name: 1})
    assert store.retry_webhooks()[:2] == (2, 1)
    assert sorted(_turns(store)) == ["a1", "a2"]


def test_webhooks_of_an_older_version_are_delivered(store: TurnStore, client: Any) -> None:
    for id, phase in (("a", "waiting"), ("b", "sent"), ("c", "taken")):
        fields = {
            "event": f"evt_{id}_1",
            "type": "response.completed",
            "created": 1,
            "since": 1,
            "url": URL,
            "key": "k",
            "attempts": 1,
        }
        client.hset(store.keys.webhook(id), mapping=fields | {"phase": phase, "calls": "", "sent": 1})
        client.zadd(store.keys.webhooks, {id: 1})
    assert store.retry_webhooks()[:2] == (3, 1)
    assert sorted(_turns(store)) == ["a", "b", "c"]


@pytest.mark.parametrize("delay", [-1, 61])
def test_it_is_given_up_and_can_be_sent_again(store: TurnStore, client: Any, delay: float) -> None:
    _cancelled(store)
    delivery = _take(store)
    assert store.record_delivery(delivery, "http_410", delay) == "given_up"
    assert store.undelivered() == ["a"]
    assert store.undelivered(given_up=False) == []
    assert 0 < client.pttl(store.keys.webhook("a")) <= store.settings.failed_ttl * 1000
    client.delete("webhooks")
    store.resend_webhook("a")
    store.resend_webhook("a")
    assert _posted(client) == ["a"]
    assert store.undelivered() == []
    assert store.undelivered(given_up=False) == ["a"]
    assert _take(store).event == delivery.event


def test_nothing_is_kept_for_ever(store: TurnStore, client: Any) -> None:
    _cancelled(store)
    assert client.pttl(store.keys.webhook("a")) > 0
    client.delete(store.keys.webhook("a"))
    client.zadd(store.keys.webhooks, {"a": 1})
    assert store.retry_webhooks()[:2] == (1, 0)
    assert not client.exists(store.keys.webhooks)


def test_a_turn_that_runs_again_is_told_again(store: TurnStore) -> None:
    _ask(store, url=URL)
    _end(store, State.FAILED)
    failed = _take(store)
    store.retry("a")
    _end(store)
    again = _take(store)
    assert (failed.type, again.type, again.attempt) == ("response.failed", "response.completed", 1)
    assert failed.event != again.event
    assert store.record_delivery(failed) == "superseded"
    assert store.record_delivery(again) == "delivered"


def test_an_erased_session_tells_nothing(store: TurnStore, client: Any) -> None:
    _cancelled(store)
    store.record_delivery(_take(store), "http_410", -1)
    store.erase("foo")
    assert store.undelivered() == []
    assert store.look_up("a") is None
    assert store.claim_webhook("a") is None


def test_an_erase_takes_webhooks_out_of_their_lines(store: TurnStore, client: Any) -> None:
    _lined(store, client, "a1", "a2", "b1")
    store.erase("a1")
    assert store.delete_turn("b1")
    assert client.zrange(store.keys.webhook_line("a"), 0, -1) == client.zrange(store.keys.webhooks, 0, -1) == ["a2"]
    assert client.zrange(store.keys.webhook_lines, 0, -1) == ["a"]
    assert not client.exists(store.keys.webhook("a1"), store.keys.webhook("b1"))
    store.erase("a2")
    assert not client.keys(f"{store.keys.prefix}webhook*")


def test_a_turn_that_is_deleted_tells_nothing(store: TurnStore) -> None:
    _cancelled(store)
    store.record_delivery(_take(store), "http_410", -1)
    assert store.delete_turn("a")
    assert store.undelivered() == []
    with pytest.raises(UnknownTurn):
        store.resend_webhook("a")


def test_a_failure_that_is_retried_is_not_told(store: TurnStore, client: Any) -> None:
    _ask(store, url=URL, key="k")
    _end(store, State.FAILED)
    store.claim_webhook("a", ["*"])
    store.retry("a")
    assert _turns(store) == []
    assert not client.keys(f"{store.keys.prefix}webhook*")


def _cancelled_turn(store: TurnStore, id: str, key: str = "k") -> None:
    store.submit(id, id, "hi", Options(webhook={"url": URL, "key": key}))
    store.cancel(id)


def test_more_than_a_key_may_have_are_given_up_at_once_and_can_be_sent_later(redis_url: str, client: Any) -> None:
    store = TurnStore(Settings(redis_url=redis_url, max_webhooks=2))
    for id in "abcd":
        _cancelled_turn(store, id)
    _cancelled_turn(store, "of-another", "other")
    assert _posted(client) == ["a", "b", "of-another"]
    assert sorted(store.undelivered()) == ["c", "d"]
    refused = store.look_up("c")
    assert refused
    assert (refused.phase, refused.reason, refused.attempts, refused.key) == ("given_up", "too_many", 0, "k")
    assert (store.stats()["webhooks_too_many"], store.retry_webhooks()[2]) == (2, 2)
    assert 0 < client.pttl(store.keys.webhook("c")) <= store.settings.failed_ttl * 1000
    with pytest.raises(TooManyWaiting, match="MAX_WEBHOOKS"):
        store.resend_webhook("c")
    assert (store.look_up("c") or refused).phase == "given_up"
    # One that waits for its next attempt is under way, one that is delivered or given up is not.
    store.record_delivery(_take(store), "http_500", 30)
    with pytest.raises(TooManyWaiting):
        store.resend_webhook("c")
    for id, reason in (("b", ""), ("c", "http_410"), ("d", "")):
        if id != "b":
            store.resend_webhook(id)
        delivery = store.claim_webhook(id)
        assert delivery
        store.record_delivery(delivery, reason, -1)
    assert client.zrange(store.keys.webhooks_of("k"), 0, -1) == ["a"]
    assert store.undelivered() == ["c"]
    store.erase("a")
    assert not client.exists(store.keys.webhooks_of("k"))


def test_one_whose_record_has_expired_does_not_count(redis_url: str, client: Any) -> None:
    store = TurnStore(Settings(redis_url=redis_url, max_webhooks=1))
    client.zadd(store.keys.webhooks_of("k"), {"long-ago": 1})
    _cancelled_turn(store, "a")
    assert client.zrange(store.keys.webhooks_of("k"), 0, -1) == ["a"]
    assert client.pttl(store.keys.webhooks_of("k")) > 0


def test_behind_others_in_line_there_is_no_message(store: TurnStore, client: Any) -> None:
    _lined(store, client, "a1")
    client.delete("webhooks")
    _cancelled_turn(store, "a2", "a")
    _cancelled_turn(store, "b1", "b")
    assert _posted(client) == ["b1"]
    assert _turns(store) == ["a1", "a2"]
