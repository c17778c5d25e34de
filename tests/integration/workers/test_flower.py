"""Turns in Flower: each is a task with its id, session and state, and never its content."""

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import httpx
import pytest
import redis
from celery import Celery

from tests.chaos.proxy import FaultProxy, Link
from tests.support.processes import ROOT, Worker, environment, offline_model
from tests.support.wait import PATIENCE_SECONDS, wait_until
from turnstile.deploy.local.ports import free_port
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore

QUESTION = "a-secret-question"


class Flower:
    """A Flower of the test's own."""

    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}"

    def get(self, path: str) -> str:
        """Return a page, or nothing while there is none."""
        with suppress(URLError, HTTPError, ConnectionError), urlopen(f"{self.base}{path}", timeout=10) as reply:
            return str(reply.read().decode())
        return ""

    def task(self, turn: str) -> dict[str, Any]:
        """Return the API's facts of a task; empty while it is not known."""
        return dict(json.loads(self.get(f"/api/task/info/{turn}") or "{}"))


@contextmanager
def flower(redis_url: str, **more: str) -> Iterator[Flower]:
    port = free_port()
    command = [sys.executable, "-m", "celery", "-A", "turnstile", "flower", "--address=127.0.0.1", f"--port={port}"]
    env = environment({"REDIS_URL": redis_url, "FLOWER_UNAUTHENTICATED_API": "true", **more})
    with subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.DEVNULL) as process:
        seen = Flower(port)
        try:
            wait_until(lambda: seen.get("/healthcheck") == "OK", "Flower answers")
            yield seen
        finally:
            process.terminate()


def _settled(seen: Flower, turn: str, state: str) -> dict[str, Any]:
    wait_until(lambda: seen.task(turn).get("state") == state, f"Flower shows {turn} as {state}")
    return seen.task(turn)


def test_flower_sees_turns_and_no_content(redis_url: str, tmp_path: Path) -> None:
    store = TurnStore(Settings(redis_url=redis_url))
    with offline_model() as model, flower(redis_url) as seen, Worker(redis_url, tmp_path, OPENAI_BASE_URL=model) as worker:
        wait_until(lambda: "online" in seen.get("/workers?json=1") or "worker" in seen.get("/"), "Flower sees the worker")
        for turn, fault in (("good", ""), ("bad", "[[fail=400]]"), ("called-off", "[[hang]]")):
            store.submit(turn, f"session-of-{turn}", f"{QUESTION} {fault}")
        stranger = Celery("stranger", broker=redis_url, backend=redis_url)
        asked = stranger.send_task("workers.answer", args=["foo", QUESTION], queue="chat")
        asked.get(timeout=PATIENCE_SECONDS)
        wait_until(lambda: store.status("called-off").state is State.RUNNING, "the last turn runs")
        store.cancel("called-off")
        shown = [_settled(seen, "good", "SUCCESS"), _settled(seen, "bad", "FAILURE"), _settled(seen, "called-off", "REVOKED")]
        shown.append(_settled(seen, asked.id, "SUCCESS"))
        pages = [seen.get(f"/task/{turn}") for turn in ("good", "bad", "called-off", asked.id)] + [
            seen.get("/tasks"),
            json.dumps(shown),
        ]
        assert QUESTION not in "".join(pages) + worker.text()
    assert [task["args"] for task in shown[:3]] == [f"('session-of-{turn}',)" for turn in ("good", "bad", "called-off")]
    assert shown[0]["result"] == "'completed'"
    assert "invalid_request" in shown[1]["exception"]


def test_flower_sees_the_step_of_a_turn(redis_url: str, tmp_path: Path) -> None:
    store = TurnStore(Settings(redis_url=redis_url))
    hold = tmp_path / "hold"
    hold.touch()
    env = {"TURNSTILE_TOOLS": "tests.chains.worker_tools:pay", "LEDGER": str(tmp_path / "ledger"), "HOLD": str(hold)}
    with offline_model() as model, flower(redis_url) as seen, Worker(redis_url, tmp_path, 20, OPENAI_BASE_URL=model, **env):
        wait_until(lambda: "worker" in seen.get("/"), "Flower sees the worker")
        for turn in ("done", "called-off"):
            store.submit(turn, f"session-of-{turn}", 'call pay {"amount": 77777}')
            _settled(seen, turn, "STEP_PAY")
        store.cancel("called-off")
        _settled(seen, "called-off", "REVOKED")
        hold.unlink()
        assert "77777" not in json.dumps(_settled(seen, "done", "SUCCESS")) + seen.get("/task/done")


def test_a_setting_shows_content(redis_url: str, tmp_path: Path) -> None:
    store = TurnStore(Settings(redis_url=redis_url, show_content=True))
    with (
        offline_model() as model,
        flower(redis_url) as seen,
        Worker(redis_url, tmp_path, OPENAI_BASE_URL=model, TURNSTILE_SHOW_CONTENT="true"),
    ):
        wait_until(lambda: "worker" in seen.get("/"), "Flower sees the worker")
        store.submit("shown", "foo", f'{QUESTION} "quoted" 100 % \\')
        task = _settled(seen, "shown", "SUCCESS")
    assert f"You said: {QUESTION}" in task["result"]
    assert task["args"].startswith(f"('foo', \"{QUESTION} ")


@pytest.mark.timeout(240)
def test_flower_hears_on_when_its_subscription_is_dead_or_lost(
    redis_url: str, proxy: FaultProxy, client: redis.Redis, tmp_path: Path
) -> None:
    store = TurnStore(Settings(redis_url=redis_url))

    def subscriptions() -> list[tuple[str, Link]]:
        found = [
            (one["id"], proxy.link(int(one["addr"].rpartition(":")[2]))) for one in client.client_list() if one["psub"] != "0"
        ]
        return [(id, link) for id, link in found if link]

    def shows(turn: str) -> None:
        # Events are not kept for anybody who does not listen: ask until one is heard.
        for number in itertools.count():
            store.submit(f"{turn}-{number}", "foo", "hello")
            with suppress(AssertionError):
                wait_until(lambda id=f"{turn}-{number}": seen.task(id).get("state") == "SUCCESS", "Flower shows it", 3)  # type: ignore[misc]  # a lambda's default
                return
            assert number < 15, f"Flower shows no turn like {turn}"

    with flower(f"redis://127.0.0.1:{proxy.port}/{redis_url.rpartition('/')[2]}") as seen, Worker(redis_url, tmp_path):
        shows("at-first")
        for _, link in subscriptions():
            link.dead = True
        shows("although-dead")
        for id, _ in subscriptions():
            client.client_kill_filter(_id=id)
        shows("although-lost")


def test_flower_answers_under_names_of_its_own(redis_url: str) -> None:
    with flower(redis_url, TURNSTILE_TRUSTED_HOSTS="flower.example.org") as seen, httpx.Client(base_url=seen.base) as http:

        def status(path: str, host: str) -> int:
            return http.get(path, headers={"host": host}).status_code

        for host in ("localhost:5555", "127.0.0.1", "[::1]:5555", "flower:5555", "192.0.2.1", "flower.example.org"):
            assert status("/api/workers", host) == 200, host
        for path in ("/", "/tasks", "/api/workers", "/static/css/flower.css", "/nothing"):
            assert status(path, "rebound.example.com:5555") == 403, path
        assert "TURNSTILE_TRUSTED_HOSTS" in http.get("/", headers={"host": "rebound.example.com"}).text
        assert status("/healthcheck", "flower.monitoring.svc") == 200


def test_flower_with_a_password_answers_under_any_name(redis_url: str) -> None:
    with flower(redis_url, FLOWER_BASIC_AUTH="me:secret") as seen:
        answer = httpx.get(f"{seen.base}/workers", headers={"host": "flower.example.com"}, auth=("me", "secret"))
        assert answer.status_code == 200
