"""A model's server that is away for a while costs its turns time, and no attempt."""

import re
import signal
from pathlib import Path
from typing import Any, cast

import pytest

from tests.support.ports import lasting_port
from tests.support.processes import Worker, offline_model
from tests.support.wait import wait_until
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore

TURNS = 20
BEGINS, ENDS = "Turns wait for it", "The model's server answers again."


def worker_for(port: int, url: str, folder: Path, **more: str) -> Worker:
    """A worker that gives up after two attempts, whose model is at a port of this machine."""
    settings: dict[str, Any] = {
        "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1",
        "TURNSTILE_MAX_ATTEMPTS": "2",
        "TURNSTILE_RETRY_BASE_SECONDS": "0.2",
        "TURNSTILE_RETRY_MAX_SECONDS": "1",
        "TURNSTILE_MODEL_TIMEOUT": "0.5",
    }
    return Worker(url, folder, **settings | more)


def answered(store: TurnStore, id: str) -> None:
    wait_until(lambda: store.status(id).state is State.COMPLETED, f"{id} is answered")


@pytest.mark.timeout(240)
def test_turns_wait_for_a_server_that_is_away(tmp_path: Path, redis_url: str) -> None:
    store, port = TurnStore(Settings(redis_url=redis_url)), lasting_port()
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
        assert re.search(r"turn t0: attempt 3 requeued after [\d.]+ s, 3 not counted\n", worker.text())


@pytest.mark.timeout(240)
@pytest.mark.parametrize("fault", ["fail=503", "fail=429", "hang"])
def test_turns_wait_for_a_server_that_does_not_answer(tmp_path: Path, redis_url: str, fault: str) -> None:
    store, port = TurnStore(Settings(redis_url=redis_url)), lasting_port()
    with offline_model("--port", str(port)), worker_for(port, redis_url, tmp_path):
        for stream in (True, False):
            store.submit(f"t{stream}", f"s{stream}", f"hello [[{fault} times=4 key={stream}]]", Options(stream=stream))
        for id in ("tTrue", "tFalse"):
            answered(store, id)
            assert (store.status(id).attempts, store.status(id).uncounted_attempts) == (5, 4)


@pytest.mark.timeout(240)
def test_a_server_that_stays_away_fails_turns_at_their_deadline(tmp_path: Path, redis_url: str) -> None:
    store = TurnStore(Settings(redis_url=redis_url))
    with worker_for(lasting_port(), redis_url, tmp_path):
        store.submit("t", "s", "hello", Options(deadline_seconds=6))
        wait_until(lambda: store.status("t").ended, "it ends")
    record = store.status("t")
    assert (record.state, record.code) == (State.FAILED, "model_unreachable")
    assert record.finished
    assert record.started
    assert record.finished - record.started > 3
    assert record.attempts > 2


def noted(store: TurnStore, kind: str = " ") -> int:
    """The turns of the default chain that wait for their model's server."""
    return int(cast("Any", store.client.zcard(store.keys.outage(kind))))


@pytest.mark.timeout(240)
@pytest.mark.parametrize("stream", [True, False])
def test_turns_go_when_the_server_is_back_before_their_pauses_are_over(tmp_path: Path, redis_url: str, stream: bool) -> None:
    store, port = TurnStore(Settings(redis_url=redis_url)), lasting_port()
    with worker_for(port, redis_url, tmp_path, TURNSTILE_RETRY_BASE_SECONDS="600", TURNSTILE_RETRY_MAX_SECONDS="600"):
        ids = [f"t{n}" for n in range(TURNS)]
        for id in ids:
            store.submit(id, f"{'acme/' * (id > 't5')}{id}", "hello", Options(stream=stream))
        wait_until(lambda: noted(store) == TURNS, "all wait for minutes")
        with offline_model("--port", str(port)):
            store.submit("next", "next", "hello")
            wait_until(lambda: all(store.status(id).state is State.COMPLETED for id in ids), "all are answered")
        assert {store.status(id).attempts for id in ids} == {2}
        assert not store.client.keys(store.keys.outage("*"))


@pytest.mark.timeout(240)
def test_a_worker_that_reaches_the_server_sends_on_nobody_whom_another_cannot_serve(tmp_path: Path, redis_url: str) -> None:
    store, pauses = TurnStore(Settings(redis_url=redis_url)), {"TURNSTILE_RETRY_BASE_SECONDS": "600"}
    pauses["TURNSTILE_RETRY_MAX_SECONDS"] = "600"
    with worker_for(lasting_port(), redis_url, tmp_path, **pauses) as cut_off:
        store.submit("waits", "waits", "hello")
        wait_until(lambda: noted(store) == 1, "it waits for minutes")
        port = lasting_port()
        with offline_model("--port", str(port)), worker_for(port, redis_url, tmp_path, **pauses):
            cut_off.signal(signal.SIGSTOP)
            for n in range(TURNS):
                store.submit(f"t{n}", f"t{n}", "hello")
            wait_until(lambda: all(store.status(f"t{n}").state is State.COMPLETED for n in range(TURNS)), "they are answered")
            cut_off.signal(signal.SIGCONT)
        assert (store.status("waits").attempts, noted(store)) == (1, 1)
