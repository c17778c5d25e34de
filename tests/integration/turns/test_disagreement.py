"""Real processes whose settings differ: nothing is lost, and whoever would lose something says so in one line."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from click.testing import CliRunner

from tests.support.gateways import Gateway
from tests.support.processes import Worker
from tests.support.wait import PATIENCE_SECONDS, wait_until
from turnstile.producers.cli.commands import main
from turnstile.producers.client import AsyncChatClient, ChatClient
from turnstile.turns.errors import SettingError
from turnstile.turns.settings import Settings
from turnstile.turns.settings import settings as read_settings
from turnstile.turns.states import State
from turnstile.turns.store import registry
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.text import as_text

CHAIN = "tests.chains.odd:blocking"
WRONG_USE = 2


def refusal(worker: Worker) -> list[str]:
    """Start a worker that must not start; what it says on its way out, but for Celery's banner."""
    worker.start(ready=False)
    assert worker.process
    assert worker.process.wait(PATIENCE_SECONDS) == WRONG_USE, worker.text()
    assert " ready." not in worker.text()
    return [line for line in worker.text().splitlines() if "TURNSTILE_" in line]


def answered(turns: TurnStore, id: str, session: str = "foo") -> None:
    turns.submit(id, session, "hi")
    wait_until(lambda: turns.status(id).state is State.COMPLETED, "the turn is answered")


@contextmanager
def registered(url: str, started: float = 0, **changed: Any) -> Iterator[None]:
    """Be registered as a worker with other settings is."""
    store = TurnStore(Settings(redis_url=url, **changed))
    with redis.Redis.from_url(url) as client, client.pubsub() as orders:
        orders.subscribe(store.keys.orders("elder"))
        assert orders.get_message(timeout=PATIENCE_SECONDS)
        facts = {**registry.introduce(store.settings), "started": started, "seen": store.now() + 15}
        client.hset(store.keys.workers, "elder", json.dumps(facts))
        yield
        client.hdel(store.keys.workers, "elder")


def test_a_worker_with_another_prefix_of_histories_is_refused(tmp_path: Path, redis_url: str) -> None:
    turns = TurnStore(Settings(redis_url=redis_url))
    with Worker(redis_url, tmp_path, TURNSTILE_CHAIN=CHAIN):
        [line] = refusal(Worker(redis_url, tmp_path, TURNSTILE_HISTORY_PREFIX="theirs:", TURNSTILE_CHAIN=CHAIN))
        assert line.startswith("turnstile: TURNSTILE_HISTORY_PREFIX is theirs: here and message_store: at worker ")
        for n in range(5):
            answered(turns, f"t{n}")
        assert turns.count_messages("foo") == 10
    assert not turns.client.keys("theirs:*")


def test_a_gateway_with_another_time_to_live_is_refused(tmp_path: Path, redis_url: str) -> None:
    with Worker(redis_url, tmp_path, TURNSTILE_CHAIN=CHAIN):
        gateway = Gateway(redis_url, tmp_path, TURNSTILE_HISTORY_TTL="8")
        gateway.start(ready=False)
        assert gateway.process
        assert gateway.process.wait(PATIENCE_SECONDS) == WRONG_USE
        [line] = [line for line in gateway.log.read_text().splitlines() if "HISTORY_TTL" in line]
        assert line.startswith("turnstile: TURNSTILE_HISTORY_TTL is 8 here and unset at worker ")
        assert "Traceback" not in gateway.log.read_text()


def test_a_gateway_that_was_there_before_the_workers_takes_nothing_any_more(tmp_path: Path, redis_url: str) -> None:
    turns = TurnStore(Settings(redis_url=redis_url))
    with Gateway(redis_url, tmp_path, TURNSTILE_HISTORY_TTL="60") as gateway, gateway.http() as http:
        conversation = http.post("/v1/conversations", json={"metadata": {"topic": "tea"}}).json()["id"]
        [home] = turns.client.keys(f"{turns.keys.conversation()}*")
        session = as_text(home).removeprefix(turns.keys.conversation())
        assert turns.client.pttl(home) > 0
        with Worker(redis_url, tmp_path, TURNSTILE_CHAIN=CHAIN):
            answered(turns, "a", session)
            assert turns.client.pttl(home) == turns.client.pttl(turns.keys.history(session)) == -1
            wait_until(lambda: http.get("/readyz").status_code == 503, "the gateway notices")
            for _ in range(2):
                refused = http.post("/v1/responses", json={"model": "m", "input": "hi", "conversation": conversation})
                assert (refused.status_code, refused.json()["error"]["code"]) == (503, "settings_differ")
            assert http.get("/healthz").status_code == 200
            assert gateway.log.read_text().count("TURNSTILE_HISTORY_TTL is 60 here and unset at worker ") == 1
        wait_until(lambda: http.get("/readyz").status_code == 200, "the gateway goes on where there are no workers")


def test_of_two_workers_that_start_at_once_one_stays(tmp_path: Path, redis_url: str) -> None:
    turns = TurnStore(Settings(redis_url=redis_url))
    ours, theirs = (
        Worker(redis_url, tmp_path, TURNSTILE_CHAIN=CHAIN),
        Worker(redis_url, tmp_path, TURNSTILE_HISTORY_TTL="600", TURNSTILE_CHAIN=CHAIN),
    )
    for worker in (ours, theirs):
        worker.start(ready=False)
    assert ours.process
    assert theirs.process
    processes = (ours.process, theirs.process)
    wait_until(lambda: any(process.poll() is not None for process in processes), "one of them ends")
    answered(turns, "a")
    assert sum(process.poll() is None for process in processes) == 1
    ended = next(worker for worker in (ours, theirs) if worker.process and worker.process.poll() is not None)
    assert ended.text().count("TURNSTILE_HISTORY_TTL is ") == 1
    for worker in (ours, theirs):
        worker.stop()


def test_a_worker_that_finds_itself_wrong_gives_its_turns_back(tmp_path: Path, redis_url: str) -> None:
    turns = TurnStore(Settings(redis_url=redis_url))
    gate = tmp_path / "gate"
    with Worker(redis_url, tmp_path, TURNSTILE_CHAIN=CHAIN) as wrong:
        turns.submit("a", "foo", f"gate {gate}")
        wait_until(lambda: turns.status("a").state is State.RUNNING, "the turn runs")
        with registered(redis_url, history_prefix="theirs:"):
            wait_until(lambda: wrong.process and wrong.process.poll() is not None, "it ends")
    assert (
        wrong.text().count("this worker ends: TURNSTILE_HISTORY_PREFIX is message_store: here and theirs: at worker elder") == 1
    )
    assert turns.client.hmget(turns.keys.turn("a"), "state", "attempts", "forgiven") == [b"queued", b"1", b"1"]
    gate.touch()
    with Worker(redis_url, tmp_path, TURNSTILE_CHAIN=CHAIN):
        wait_until(lambda: turns.status("a").state is State.COMPLETED, "another worker answers")
    assert turns.count_messages("foo") == 2


def test_a_dead_worker_refuses_nobody(tmp_path: Path, redis_url: str) -> None:
    turns = TurnStore(Settings(redis_url=redis_url))
    dead = Worker(redis_url, tmp_path, TURNSTILE_HISTORY_TTL="8", TURNSTILE_CHAIN=CHAIN)
    dead.start()
    wait_until(lambda: turns.workers(), "it is registered")
    dead.kill()
    assert turns.client.hlen(turns.keys.workers) == 1
    with Worker(redis_url, tmp_path, TURNSTILE_CHAIN=CHAIN):
        answered(turns, "a")


def test_what_is_only_odd_is_told_and_borne(tmp_path: Path, redis_url: str) -> None:
    turns = TurnStore(Settings(redis_url=redis_url))
    with (
        Worker(redis_url, tmp_path, TURNSTILE_MAX_ATTEMPTS="2", TURNSTILE_CHAIN=CHAIN),
        Worker(redis_url, tmp_path, TURNSTILE_CHAIN=CHAIN) as other,
        Gateway(redis_url, tmp_path, TURNSTILE_MAX_ATTEMPTS="7", TURNSTILE_WINDOW_MESSAGES="3") as gateway,
    ):
        answered(turns, "a")
        assert other.text().count("TURNSTILE_MAX_ATTEMPTS is 5 here and 2 at worker ") == 1
        assert "TURNSTILE_MAX_ATTEMPTS is 7 here" in gateway.log.read_text()
        assert "TURNSTILE_WINDOW_MESSAGES is 3 here" in gateway.log.read_text()
        assert httpx.get(f"{gateway.url}/readyz").status_code == 200


def test_a_client_does_not_read_or_erase_in_the_wrong_place(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(redis_url=redis_url)
    with registered(redis_url, history_prefix="theirs:"):
        turn = ChatClient(settings=settings).ask("foo", "hi")
        for wrong in (turn.cancel, lambda: ChatClient(settings=settings).erase("foo"), _history(settings)):
            with pytest.raises(SettingError, match="TURNSTILE_HISTORY_PREFIX is message_store: here and theirs: at worker"):
                wrong()
        assert turn.status().state is State.QUEUED
        monkeypatch.setenv("REDIS_URL", redis_url)
        read_settings.cache_clear()
        result = CliRunner().invoke(main, ["erase", "foo", "--yes"])
        assert (result.exit_code, result.output.count("TURNSTILE_HISTORY_PREFIX is ")) == (WRONG_USE, 1)
    read_settings.cache_clear()


def _history(settings: Settings) -> Any:
    async def read() -> None:
        async with AsyncChatClient(settings=settings) as chat:
            await chat.history("foo")

    return lambda: asyncio.run(read())


def test_a_client_need_not_know_how_long_histories_live(redis_url: str) -> None:
    with registered(redis_url, history_ttl=8.0):
        plain = ChatClient(settings=Settings(redis_url=redis_url))
        assert plain.ask("foo", "hi").cancel() is State.CANCELLED
        other = ChatClient(settings=Settings(redis_url=redis_url, history_ttl=4))
        with pytest.raises(SettingError, match="TURNSTILE_HISTORY_TTL is 4 here and 8 at worker"):
            other.ask("foo", "hi").cancel()
