"""A model's server that is away for a while costs its turns time, and no attempt."""

from pathlib import Path

import pytest

from tests.support.processes import Worker, offline_model
from tests.support.wait import wait_until
from turnstile.deploy.local.ports import free_port
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore

TURNS = 20
BEGINS, ENDS = "Turns wait for it", "The model's server answers again."


def worker_for(port: int, url: str, folder: Path) -> Worker:
    """A worker that gives up after two attempts, whose model is at a port of this machine."""
    return Worker(
        url,
        folder,
        OPENAI_BASE_URL=f"http://127.0.0.1:{port}/v1",
        TURNSTILE_MAX_ATTEMPTS="2",
        TURNSTILE_RETRY_BASE_SECONDS="0.2",
        TURNSTILE_RETRY_MAX_SECONDS="1",
        TURNSTILE_MODEL_TIMEOUT="0.5",
    )


def answered(store: TurnStore, id: str) -> None:
    wait_until(lambda: store.status(id).state is State.COMPLETED, f"{id} is answered")


@pytest.mark.timeout(240)
def test_turns_wait_for_a_server_that_is_away(tmp_path: Path, redis_url: str) -> None:
    store, port = TurnStore(Settings(redis_url=redis_url)), free_port()
    with worker_for(port, redis_url, tmp_path) as worker:
        ids = [f"t{n}" for n in range(TURNS)]
        for id in ids:
            store.submit(id, id, "hello")
        wait_until(lambda: all(store.status(id).attempts > 4 for id in ids), "all were tried more often than may fail")
        with offline_model("--port", str(port)):
            wait_until(lambda: all(store.status(id).state is State.COMPLETED for id in ids), "all are answered")
            wait_until(lambda: ENDS in worker.text(), "the log tells of the end")
        assert (worker.text().count(BEGINS), worker.text().count(ENDS)) == (1, 1)
        assert "again in" not in worker.text()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("fault", ["fail=503", "fail=429", "hang"])
def test_turns_wait_for_a_server_that_does_not_answer(tmp_path: Path, redis_url: str, fault: str) -> None:
    store, port = TurnStore(Settings(redis_url=redis_url)), free_port()
    with offline_model("--port", str(port)), worker_for(port, redis_url, tmp_path):
        for stream in (True, False):
            store.submit(f"t{stream}", f"s{stream}", f"hello [[{fault} times=4 key={stream}]]", Options(stream=stream))
        for id in ("tTrue", "tFalse"):
            answered(store, id)
            assert store.status(id).attempts == 5


@pytest.mark.timeout(240)
def test_a_server_that_stays_away_fails_turns_at_their_deadline(tmp_path: Path, redis_url: str) -> None:
    store = TurnStore(Settings(redis_url=redis_url))
    with worker_for(free_port(), redis_url, tmp_path):
        store.submit("t", "s", "hello", Options(deadline_seconds=6))
        wait_until(lambda: store.status("t").ended, "it ends")
    record = store.status("t")
    assert (record.state, record.code) == (State.FAILED, "model_unreachable")
    assert record.finished
    assert record.started
    assert record.finished - record.started > 3
    assert record.attempts > 2
