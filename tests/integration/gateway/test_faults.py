"""Gateways, workers and Redis that go away in the middle of a stream."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.support.gateways import HASTY_APP, Gateway, read_events
from tests.support.processes import Worker
from tests.support.wait import wait_until
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.turns.api_keys import Limits, NewKey, new_key
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore

LONG = "Please say one two three four five six seven eight nine ten eleven twelve"
SLOW = f"{LONG} [[tokens-per-second=8]]"


@pytest.fixture
def gateway(redis_url: str, tmp_path: Path) -> Iterator[Gateway]:
    """Yield a gateway of the test's own."""
    with Gateway(redis_url, tmp_path) as running:
        yield running


@pytest.fixture
def worker(redis_url: str, tmp_path: Path) -> Iterator[Worker]:
    """Yield a worker of the test's own."""
    with Worker(redis_url, tmp_path, TURNSTILE_LEASE_SECONDS="2") as running:
        yield running


def until_text(gateway: Gateway, body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the events of a new stream up to its second piece of text; the connection is then closed."""
    seen: list[dict[str, Any]] = []
    with gateway.http() as http, http.stream("POST", "/v1/responses", json={**body, "stream": True}) as answer:
        for event in read_events(answer.iter_lines()):
            seen.append(event)
            if sum(e["type"] == "response.output_text.delta" for e in seen) == 2:
                break
    return seen


def check_whole(events: list[dict[str, Any]], answer: str) -> None:
    """Assert that every event came once, in order, and that the last item's text is the answer."""
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1]["type"] == "response.completed"
    [item] = events[-1]["response"]["output"]
    assert item["content"][0]["text"] == answer
    last = [e["delta"] for e in events if e["type"] == "response.output_text.delta" and e["item_id"] == item["id"]]
    assert "".join(last) == answer


def broken_stream(gateway: Gateway, body: dict[str, Any], end: Callable[[], object]) -> list[dict[str, Any]]:
    """Return the events of a new stream up to where it breaks, because the gateway ends after the first text."""
    seen: list[dict[str, Any]] = []
    broken: list[BaseException] = []
    reading = threading.Event()

    def run() -> None:
        try:
            with gateway.http() as http, http.stream("POST", "/v1/responses", json={**body, "stream": True}) as answer:
                for event in read_events(answer.iter_lines()):
                    seen.append(event)
                    if event["type"] == "response.output_text.delta":
                        reading.set()
        except httpx.TransportError as error:
            broken.append(error)

    reader = threading.Thread(target=run)
    reader.start()
    wait_until(reading.is_set, "text has come")
    end()
    reader.join()
    assert broken, "the stream ended as if it were whole"
    return seen


@pytest.mark.parametrize("gently", [True, False])
def test_a_gateway_that_restarts_in_the_middle_of_a_stream(gateway: Gateway, worker: Worker, gently: bool) -> None:
    seen = broken_stream(gateway, {"input": SLOW, "background": True}, gateway.stop if gently else gateway.kill)
    gateway.start()
    id = seen[0]["response"]["id"]
    after = seen[-1]["sequence_number"]
    with gateway.sdk() as sdk:
        rest = [event.to_dict() for event in sdk.responses.retrieve(id, stream=True, starting_after=after)]
    check_whole([*seen, *rest], f"You said: {LONG}")


def test_a_worker_that_dies_in_the_middle_of_a_stream(gateway: Gateway, worker: Worker, tmp_path: Path) -> None:
    seen = until_text(gateway, {"input": SLOW, "background": True})
    worker.kill()
    worker.start()
    id, after = seen[0]["response"]["id"], seen[-1]["sequence_number"]
    with gateway.sdk() as sdk:
        events = [*seen, *(event.to_dict() for event in sdk.responses.retrieve(id, stream=True, starting_after=after))]
        check_whole(events, f"You said: {LONG}")
        added = [e for e in events if e["type"] == "response.output_item.added"]
        assert [e["output_index"] for e in added] == [0, 1]
        assert len({e["item"]["id"] for e in added}) == 2
        lost = next(e for e in events if e["type"] == "response.output_item.done")
        assert (lost["output_index"], lost["item"]["status"]) == (0, "incomplete")
        with sdk.responses.stream(response_id=id) as stream:
            assert stream.get_final_response().output_text == f"You said: {LONG}"
        response = sdk.responses.retrieve(id)
        assert response.conversation
        items = list(sdk.conversations.items.list(response.conversation.id))
        assert items[0].id == response.output[0].id == added[1]["item"]["id"]


def test_redis_goes_away_and_comes_back(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "server")
    with (
        server,
        Worker(server.url, tmp_path),
        Gateway(server.url, tmp_path) as gateway,
        gateway.http() as http,
    ):
        store = TurnStore(Settings(redis_url=server.url))
        with http.stream("POST", "/v1/responses", json={"input": SLOW, "background": True, "stream": True}) as answer:
            events: list[dict[str, Any]] = []
            source = read_events(answer.iter_lines())
            while not any(event["type"] == "response.output_text.delta" for event in events):
                events.append(next(source))
            server.stop()
            with gateway.http() as other:
                refused = other.post("/v1/responses", json={"input": "hi"})
                assert refused.status_code == 503
                assert int(refused.headers["retry-after"]) >= 1
                assert refused.json()["error"]["code"] == "queue_unreachable"
                wait_until(lambda: other.get("/readyz").status_code == 503, "the gateway notices")
                assert other.get("/healthz").status_code == 200
            server.start()
            events.extend(source)
        check_whole(events, f"You said: {LONG}")
        assert store.status(events[0]["response"]["id"]).state is State.COMPLETED
        with gateway.sdk() as sdk:
            assert sdk.responses.create(input="hello").output_text == "You said: hello"


def test_a_foreground_stream_that_the_gateway_breaks_off_is_cancelled(gateway: Gateway, worker: Worker, redis_url: str) -> None:
    seen = broken_stream(gateway, {"input": SLOW}, gateway.stop)
    assert TurnStore(Settings(redis_url=redis_url)).status(seen[0]["response"]["id"]).state is State.CANCELLED


@pytest.mark.parametrize("path", ["responses", "chat/completions"])
@pytest.mark.parametrize("keyed", [True, False])
def test_a_gateway_that_stops_while_a_client_waits(
    gateway: Gateway, worker: Worker, redis_url: str, path: str, keyed: bool
) -> None:
    store = TurnStore(Settings(redis_url=redis_url))
    question = f"{LONG} [[latency=4]]"
    asked = {"input": question} if path == "responses" else {"messages": [{"role": "user", "content": question}]}
    headers = {"idempotency-key": "one"} if keyed else {}
    answers: list[httpx.Response] = []

    def wait() -> None:
        with gateway.http() as http:
            answers.append(http.post(f"/v1/{path}", json=asked, headers=headers))

    waiting = threading.Thread(target=wait)
    waiting.start()
    wait_until(lambda: store.stats().get("claimed", 0), "the turn runs")
    gateway.stop()
    waiting.join()
    assert (answers[0].status_code, answers[0].headers["retry-after"]) == (503, "1")
    assert answers[0].json()["error"]["code"] == "restarting"
    # A repeat with the key finds the turn; one without asks anew.
    end = "completed" if keyed else "cancelled"
    wait_until(lambda: store.stats().get(end, 0), f"the turn is {end}")


def test_a_question_is_asked_once_over_a_restart(gateway: Gateway, worker: Worker, redis_url: str) -> None:
    store = TurnStore(Settings(redis_url=redis_url))
    answers: list[str] = []

    def ask() -> None:
        with gateway.sdk(max_retries=10) as sdk:
            answers.append(sdk.responses.create(input=f"{LONG} [[latency=2]]", conversation="foo").output_text)

    asking = threading.Thread(target=ask)
    asking.start()
    wait_until(lambda: store.stats().get("claimed", 0), "the turn runs")
    gateway.stop()
    gateway.start()
    asking.join()
    assert answers == [f"You said: {LONG}"]
    wait_until(lambda: not store.stats().get("open", 0), "nothing runs")
    assert len(store.history("foo")) == 2


def test_redis_that_hangs_is_no_reason_to_hang(tmp_path: Path) -> None:
    keys = [new_key("free"), new_key("limited", limits=Limits(requests_per_minute=100))]
    entries = json.dumps({key.digest: key.entry for key in keys})
    with (
        EmbeddedServer(tmp_path / "server", append_only=False) as server,
        Gateway(server.url, tmp_path, TURNSTILE_API_KEYS=entries) as gateway,
        gateway.http() as http,
        ThreadPoolExecutor() as pool,
    ):

        def ask(key: NewKey) -> httpx.Response:
            headers = {"authorization": f"Bearer {key.text}"}
            return http.post("/v1/responses", json={"input": "hi", "background": True}, headers=headers, timeout=25)

        assert http.get("/readyz").status_code == 200
        os.kill(server.pid, signal.SIGSTOP)
        try:
            wait_until(lambda: http.get("/readyz").status_code == 503, "the gateway notices")
            answers = list(pool.map(ask, keys))
        finally:
            os.kill(server.pid, signal.SIGCONT)
        for answer in answers:
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "queue_unreachable")
            assert int(answer.headers["retry-after"]) >= 1
        wait_until(lambda: http.get("/readyz").status_code == 200, "the gateway is ready again")


def test_events_that_have_expired(gateway: Gateway, worker: Worker, redis_url: str) -> None:
    store = TurnStore(Settings(redis_url=redis_url))
    with gateway.sdk() as sdk:
        response = sdk.responses.create(input="hello there")
        store.client.delete(store.keys.events(response.id))
        kinds = [event.type for event in sdk.responses.retrieve(response.id, stream=True)]
        assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
        assert kinds.count("response.output_text.delta") == 1
        with pytest.raises(openai.BadRequestError) as expired:
            sdk.responses.retrieve(response.id, stream=True, starting_after=3)
        assert (expired.value.param, expired.value.code) == ("starting_after", "stream_expired")


def test_a_queue_that_is_full(redis_url: str, tmp_path: Path) -> None:
    with Gateway(redis_url, tmp_path, TURNSTILE_MAX_WAITING_PER_SESSION="1") as gateway, gateway.sdk() as sdk:
        for _ in range(2):
            sdk.responses.create(input="hi", conversation="foo", background=True)
        with pytest.raises(openai.RateLimitError) as full:
            sdk.responses.create(input="hi", conversation="foo", background=True)
        assert full.value.code == "too_many_waiting"
        assert int(full.value.response.headers["retry-after"]) >= 1


def test_keep_alives(redis_url: str, tmp_path: Path) -> None:
    with Gateway(redis_url, tmp_path) as gateway, gateway.http() as http:
        body = {"input": "nobody is at work", "background": True, "stream": True}
        with http.stream("POST", "/v1/responses", json=body) as answer:
            assert any(line == ": keep-alive" for line in answer.iter_lines())


def test_a_client_reads_on_after_keep_alives(redis_url: str, worker: Worker, tmp_path: Path) -> None:
    with Gateway(redis_url, tmp_path, app=HASTY_APP) as gateway:
        with gateway.http() as http, http.stream("POST", "/v1/responses", json={"input": SLOW, "stream": True}) as answer:
            assert ": keep-alive" in list(answer.iter_lines())
        with gateway.sdk() as sdk:
            events = [event.to_dict() for event in sdk.responses.create(input=SLOW, stream=True)]
    check_whole(events, f"You said: {LONG}")
