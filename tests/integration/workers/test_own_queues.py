"""Messages that plain Celery apps put straight on the queues of the scripts: taken or refused, and never shown."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kombu
import pytest
from celery import Celery

from tests.support.flower import Flower
from tests.support.processes import Worker, offline_model
from tests.support.wait import PATIENCE_SECONDS, wait_until
from tests.support.worker_parts import plain_app
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.turns.errors import InvalidTurn, QueueMemoryFull
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore
from turnstile.workers import app as _patched  # noqa: F401 - replaces kombu's parts
from turnstile.workers.celery_patches import own_queues

SECRET = "a-secret-word"


@pytest.fixture(scope="module")
def url(server: EmbeddedServer, _numbers: Iterator[int]) -> str:
    return f"{server.url.rpartition('/')[0]}/{next(_numbers)}"


@pytest.fixture(scope="module")
def worker(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    with offline_model() as model, Worker(url, tmp_path_factory.mktemp("worker"), OPENAI_BASE_URL=model) as running:
        yield running


@pytest.fixture
def turns(url: str, worker: Worker) -> Iterator[TurnStore]:
    yield TurnStore(Settings(redis_url=url))
    assert worker.process
    assert worker.process.poll() is None
    assert SECRET not in worker.text()
    assert "Traceback" not in worker.text()


@pytest.fixture
def stranger(url: str) -> Iterator[Celery]:
    """Yield a plain Celery app."""
    with plain_app(url) as app:
        yield app


def _answers(turns: TurnStore, session: str) -> None:
    """Its worker answers still."""
    turns.submit(f"after-{session}", session, "hello")
    wait_until(lambda: turns.status(f"after-{session}").state is State.COMPLETED, "the next turn is answered")


_WRONG: dict[str, dict[str, Any]] = {
    "another task": {"name": "their.task"},
    "a task named like a question": {"name": SECRET},
    "pickle": {"serializer": "pickle"},
    "yaml": {"serializer": "yaml"},
    "gzip": {"compression": "gzip"},
    "countdown": {"countdown": 3600},
    "eta in the past": {"countdown": -3600},
    "expired": {"expires": -1},
    "arguments": {"args": [SECRET]},
    "session": {"args": [f"no session {SECRET}", SECRET]},
}


@pytest.mark.parametrize("queue", ["chat", "webhooks"])
@pytest.mark.parametrize("wrong", _WRONG)
def test_a_message_that_is_no_turn_is_refused_to_its_sender(
    turns: TurnStore, worker: Worker, stranger: Celery, session: str, wrong: str, queue: str
) -> None:
    result = stranger.send_task(**{"name": "workers.answer", "args": [session, SECRET], "queue": queue, **_WRONG[wrong]})
    with pytest.raises(InvalidTurn) as refused:
        result.get(timeout=PATIENCE_SECONDS)
    assert SECRET not in str(refused.value)
    _answers(turns, session)


@pytest.mark.parametrize("version", [1, 2])
def test_either_protocol_gets_an_answer_or_a_refusal(turns: TurnStore, stranger: Celery, session: str, version: int) -> None:
    stranger.conf.task_protocol = version
    for queue in ("celery", "chat"):
        result = stranger.send_task("workers.answer", args=[session, SECRET], queue=queue)
        if version == 1:
            with pytest.raises(InvalidTurn, match="task_protocol"):
                result.get(timeout=PATIENCE_SECONDS)
        else:
            assert result.get(timeout=PATIENCE_SECONDS) == f"You said: {SECRET}"


_GARBAGE: dict[str, str | bytes] = {
    "no JSON": SECRET,
    "no message": json.dumps([SECRET]),
    "a number": "5",
    "null": "null",
    "nested too deep": "[" * 100_000,
    "no properties": json.dumps({"body": SECRET, "headers": {"task": "workers.answer", "id": "x"}}),
    "headers of a strange form": json.dumps({"body": SECRET, "headers": [SECRET], "properties": {}}),
    "an id that is half a character": json.dumps(
        {"body": SECRET, "headers": {"task": SECRET, "id": "\ud800"}, "properties": {}}
    ),
    "forged": json.dumps(
        {
            "body": SECRET,
            "content-type": "application/json",
            "headers": {"task": "workers.answer", "id": "forged", "origin": "turnstile", "eta": None, "expires": None},
            "properties": {"delivery_info": {}, "delivery_tag": "x"},
        }
    ),
    "no text": b"\xff\xfe" + SECRET.encode(),
}


@pytest.mark.parametrize("name", _GARBAGE)
def test_garbage_is_dropped(turns: TurnStore, worker: Worker, session: str, name: str) -> None:
    before = turns.stats().get("refused", 0)
    for queue in ("chat", "batch", "webhooks"):
        turns.client.lpush(queue, _GARBAGE[name])
        wait_until(lambda queue=queue: turns.client.llen(queue) == 0, "it is taken")  # type: ignore[misc]  # mypy and defaults
    _answers(turns, session)
    wait_until(lambda: turns.stats().get("refused", 0) > before, "it is counted")


def test_a_question_put_straight_on_the_queue_is_answered_and_not_shown(
    turns: TurnStore, worker: Worker, stranger: Celery, session: str, url: str, tmp_path: Path
) -> None:
    with Flower(url, tmp_path) as seen:
        seen.hear_workers()
        results = [
            stranger.send_task("workers.answer", args=[session, f"{SECRET} [[hang]]"], queue="chat"),
            stranger.send_task("workers.answer", args=[session, SECRET], queue="batch", countdown=3600),
        ]
        wait_until(lambda: turns.client.exists(turns.keys.turn(results[0].id)), "the first is accepted")
        wait_until(lambda: turns.status(results[0].id).state is State.RUNNING, "the first runs")
        inspect = stranger.control.inspect(timeout=3)
        shown = [inspect.active(), inspect.reserved(), inspect.scheduled(), inspect.query_task(results[0].id)]
        assert results[0].id in str(shown[0])
        assert not any((shown[2] or {"": []}).values())
        seen.get("/api/workers?refresh=true")
        pages = [seen.get(path) for path in ("/tasks", "/api/tasks", "/api/workers", f"/task/{results[0].id}")]
        pages += [seen.get(f"/worker/{name}") for name in json.loads(seen.get("/api/workers") or "{}")]
        assert SECRET not in str(shown) + "".join(pages)
    turns.cancel(results[0].id)


def test_a_full_session_keeps_such_a_question_waiting(redis_url: str, tmp_path: Path) -> None:
    turns = TurnStore(Settings(redis_url=redis_url))
    with (
        offline_model() as model,
        Worker(redis_url, tmp_path, OPENAI_BASE_URL=model, TURNSTILE_MAX_WAITING_PER_SESSION="1"),
        plain_app(redis_url) as stranger,
    ):
        turns.submit("running", "foo", "[[hang]]")
        turns.submit("waiting", "foo", "hello")
        result = stranger.send_task("workers.answer", args=["foo", "hi"], queue="chat")
        wait_until(lambda: turns.client.llen("celery") == 1, "the question waits in the intake's queue")
        turns.cancel("running")
        assert result.get(timeout=PATIENCE_SECONDS) == "You said: hi"


def test_a_dispatch_that_comes_while_its_worker_ends_goes_back_and_is_no_warning(
    store: TurnStore, redis_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_queues, "turns", lambda: store)
    store.submit("a", "foo", "hello")
    queue = store.keys.queue("chat")
    text = store.client.lindex(queue, 0)
    assert isinstance(text, bytes)
    with caplog.at_level(logging.INFO), kombu.Connection(redis_url) as connection:
        channel: Any = connection.channel()
        transport: Any = connection.transport
        # As kombu has it when a worker has cancelled its consumers, and Redis answers a last BRPOP.
        store.client.delete(queue)
        transport._deliver(json.loads(text), "chat")
        channel.close()
    assert store.client.llen(queue) == 1
    assert [(r.levelname, r.getMessage()) for r in caplog.records if "queue" in r.getMessage()] == [
        ("INFO", "a message that came while this worker ends goes back into queue chat")
    ]


def test_a_question_for_which_there_is_no_room_is_refused_to_its_sender(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as full, plain_app(full.url) as stranger:
        result = stranger.send_task("workers.answer", args=["foo", SECRET], queue="chat")
        turns = TurnStore(Settings(redis_url=full.url))
        message: Any = turns.client.rpop("chat")
        turns.client.config_set("maxmemory", 1)
        own_queues._turn_away(turns, json.loads(message))
        with pytest.raises(QueueMemoryFull):
            result.get(timeout=PATIENCE_SECONDS)
