"""A batch under way when Redis comes back without what it was told last: every request has one result, and is asked once."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.support.batches import begun, completed, ended, line, results
from tests.support.gateways import Gateway, texts_of
from tests.support.processes import Worker
from tests.support.step_worker import StepWorker
from tests.support.wait import wait_until
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore

_SESSIONS, _LINES = 30, 300


class Log:
    """The append-only file of a server, and its length at some time."""

    def __init__(self, folder: Path) -> None:
        (self._path,) = (folder / "appendonlydir").glob("*.incr.aof")
        self._size = self._path.stat().st_size

    def lose_what_came_since(self, server: EmbeddedServer) -> None:
        """Kill the server, and start it without the rest."""
        server.kill()
        os.truncate(self._path, self._size)
        server.start()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path / "server") as running:
        yield running


def _body(number: int) -> dict[str, Any]:
    return {"input": f"number {number} [[latency=0.1]]", "conversation": f"c{number % _SESSIONS}"}


def _questions(sdk: openai.OpenAI) -> Counter[str]:
    items = [item for n in range(_SESSIONS) for item in sdk.conversations.items.list(f"c{n}", limit=100)]
    return Counter(texts_of(item for item in items if item.type == "message" and item.role == "user"))


def test_what_was_lost_is_found_or_asked_again(server: EmbeddedServer, tmp_path: Path) -> None:
    with Worker(server.url, tmp_path), Gateway(server.url, tmp_path) as gateway, gateway.sdk(max_retries=20) as sdk:
        batch = begun(sdk, *[line(f"q{n}", _body(n)) for n in range(_LINES)])
        wait_until(lambda: completed(sdk, batch) >= 20, "some are answered")
        log = Log(tmp_path / "server")
        done = completed(sdk, batch)
        wait_until(lambda: completed(sdk, batch) >= done + 20, "more are answered")
        log.lose_what_came_since(server)
        assert completed(sdk, batch) < done + 20
        last = ended(sdk, batch.id)
        assert (last.status, last.errors, last.error_file_id) == ("completed", None, None)
        assert [one["custom_id"] for one in results(sdk, last.output_file_id)] == [f"q{n}" for n in range(_LINES)]
        assert _questions(sdk) == Counter(str(_body(n)["input"]) for n in range(_LINES))


def test_that_it_has_begun_is_lost(server: EmbeddedServer, tmp_path: Path) -> None:
    settings = Settings(redis_url=server.url)
    store = TurnStore(settings)
    with Gateway(server.url, tmp_path) as gateway, gateway.sdk(max_retries=20) as sdk:
        batch = begun(sdk, line("q", {"input": "hi"}))
        wait_until(lambda: store.stats().get("accepted") == 1, "it is asked")
        store.client.hdel(store.keys.batch(batch.id), "in_progress", "total")
        worker = StepWorker(settings)
        worker.answer(worker.take("batch"), "an answer")
        last = ended(sdk, batch.id)
    assert last.request_counts
    assert (last.status, last.request_counts.total, last.request_counts.completed) == ("completed", 1, 1)


def test_a_cancelled_batch_keeps_the_answers_whose_results_were_lost(server: EmbeddedServer, tmp_path: Path) -> None:
    settings = Settings(redis_url=server.url)
    store = TurnStore(settings)
    with Gateway(server.url, tmp_path) as gateway, gateway.sdk(max_retries=20) as sdk:
        batch = begun(sdk, *[line(f"q{n}", {"input": "hi"}) for n in range(3)])
        worker = StepWorker(settings)
        worker.answer(worker.take("batch"), "an answer")
        wait_until(lambda: completed(sdk, batch) == 1, "one is answered")
        store.client.delete(store.keys.results(f"file-completed_{batch.id}"))
        sdk.batches.cancel(batch.id)
        last = ended(sdk, batch.id)
        assert last.status == "cancelled"
        assert len(results(sdk, last.output_file_id)) == 1
        assert [one["error"]["code"] for one in results(sdk, last.error_file_id)] == ["batch_cancelled"] * 2


def test_what_was_erased_is_not_asked_again(server: EmbeddedServer, tmp_path: Path) -> None:
    settings = Settings(redis_url=server.url)
    store = TurnStore(settings)
    with Gateway(server.url, tmp_path) as gateway, gateway.sdk(max_retries=20) as sdk:
        batch = begun(sdk, *[line(f"q{n}", {"input": "hi", "conversation": f"c{n}"}) for n in range(2)])
        wait_until(lambda: store.stats().get("accepted") == 2, "both are asked")
        sdk.conversations.delete("c1")
        worker = StepWorker(settings)
        worker.answer(worker.take("batch"), "an answer")
        last = ended(sdk, batch.id)
        assert last.status == "completed"
        assert [one["error"]["code"] for one in results(sdk, last.error_file_id)] == ["deleted"]
        assert store.stats()["accepted"] == 2


def test_a_response_that_was_deleted_is_told_by_the_next_gateway(server: EmbeddedServer, tmp_path: Path) -> None:
    settings = Settings(redis_url=server.url)
    store = TurnStore(settings)
    with Gateway(server.url, tmp_path) as gateway, gateway.sdk(max_retries=20) as sdk:
        batch = begun(sdk, line("q", {"input": "hi"}))
        worker = StepWorker(settings)
        claim = worker.take("batch")
        gateway.kill()
        worker.answer(claim, "an answer")
        store.delete_turn(claim.id)
        store.client.zadd(store.keys.batches_due, {f"/{batch.id}": round(store.now() * 1000)})
        gateway.start()
        last = ended(sdk, batch.id)
        assert [one["error"]["code"] for one in results(sdk, last.error_file_id)] == ["deleted"]
