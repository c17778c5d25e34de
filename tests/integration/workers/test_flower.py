"""Turns in Flower: each is a task with its id, session and state, and never its content."""

import itertools
import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from celery import Celery

from tests.chaos.proxy import FaultProxy, Link
from tests.support.flower import Flower
from tests.support.processes import Worker, offline_model
from tests.support.wait import PATIENCE_SECONDS, wait_until
from turnstile.turns.celery_message import TASK
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore

QUESTION = "a-secret-question"


def _settled(seen: Flower, turn: str, state: str) -> dict[str, Any]:
    wait_until(lambda: seen.task(turn).get("state") == state, f"Flower shows {turn} as {state}")
    return seen.task(turn)


def test_flower_sees_turns_and_no_content(redis_url: str, tmp_path: Path) -> None:
    store = TurnStore(Settings(redis_url=redis_url))
    with (
        offline_model() as model,
        Flower(redis_url, tmp_path) as seen,
        Worker(redis_url, tmp_path, OPENAI_BASE_URL=model) as worker,
    ):
        seen.hear_workers()
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
        # A turn's session, in the lists of Flower 2.2 and 2.1.
        assert re.search('data-column="args"|<th>args</th>', seen.get("/tasks"))
    assert [task["args"] for task in shown[:3]] == [f"('session-of-{turn}',)" for turn in ("good", "bad", "called-off")]
    assert shown[0]["result"] == "'completed'"
    assert "invalid_request" in shown[1]["exception"]


def test_flower_sees_the_step_of_a_turn(redis_url: str, tmp_path: Path) -> None:
    store = TurnStore(Settings(redis_url=redis_url))
    hold = tmp_path / "hold"
    hold.touch()
    env = {"TURNSTILE_TOOLS": "tests.chains.worker_tools:pay", "LEDGER": str(tmp_path / "ledger"), "HOLD": str(hold)}
    with (
        offline_model() as model,
        Flower(redis_url, tmp_path) as seen,
        Worker(redis_url, tmp_path, 20, OPENAI_BASE_URL=model, **env),
    ):
        seen.hear_workers()
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
        Flower(redis_url, tmp_path) as seen,
        Worker(redis_url, tmp_path, OPENAI_BASE_URL=model, TURNSTILE_SHOW_CONTENT="true"),
    ):
        seen.hear_workers()
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

    with (
        Flower(f"redis://127.0.0.1:{proxy.port}/{redis_url.rpartition('/')[2]}", tmp_path) as seen,
        Worker(redis_url, tmp_path),
    ):
        shows("at-first")
        for _, link in subscriptions():
            link.dead = True
        shows("although-dead")
        for id, _ in subscriptions():
            client.client_kill_filter(_id=id)
        shows("although-lost")


def test_flower_answers_under_names_of_its_own(redis_url: str, tmp_path: Path) -> None:
    with (
        Flower(redis_url, tmp_path, TURNSTILE_TRUSTED_HOSTS="flower.example.org") as seen,
        httpx.Client(base_url=seen.base) as http,
    ):

        def status(path: str, host: str) -> int:
            return http.get(path, headers={"host": host}).status_code

        for host in ("localhost:5555", "127.0.0.1", "[::1]:5555", "flower:5555", "192.0.2.1", "flower.example.org"):
            assert status("/api/workers", host) == 200, host
        for path in ("/", "/tasks", "/api/workers", "/static/css/flower.css", "/nothing"):
            assert status(path, "rebound.example.com:5555") == 403, path
        assert "TURNSTILE_TRUSTED_HOSTS" in http.get("/", headers={"host": "rebound.example.com"}).text
        assert status("/healthcheck", "flower.monitoring.svc") == 200


def test_flower_with_a_password_answers_under_any_name(redis_url: str, tmp_path: Path) -> None:
    with Flower(redis_url, tmp_path, FLOWER_BASIC_AUTH="me:secret") as seen:
        answer = httpx.get(f"{seen.base}/workers", headers={"host": "flower.example.com"}, auth=("me", "secret"))
        assert answer.status_code == 200


# Every way in which Flower's API can change something.
CONTROL = (
    *(f"worker/{name}/w" for name in ("shutdown", "pool/restart", "pool/grow", "pool/shrink", "pool/autoscale")),
    *(f"worker/queue/{name}/w" for name in ("add-consumer", "cancel-consumer")),
    *(f"task/{name}/{TASK}" for name in ("apply", "async-apply", "send-task", "abort", "timeout", "rate-limit", "revoke")),
)


def test_flower_changes_nothing_unless_it_is_told_so(redis_url: str, client: redis.Redis, tmp_path: Path) -> None:
    with Flower(redis_url, tmp_path) as seen:
        for path in CONTROL:
            answer = httpx.post(f"{seen.base}/api/{path}", json={"args": ["foo", QUESTION]}, timeout=PATIENCE_SECONDS)
            assert answer.status_code == 403, path
    assert client.zcard("turnstile:open") == 0
    with Flower(redis_url, tmp_path, FLOWER_READ_ONLY="false") as seen:
        assert httpx.post(f"{seen.base}/api/task/async-apply/{TASK}", json={"args": ["foo", "x"]}).status_code == 200
    assert client.zcard("turnstile:open") == 1


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"FLOWER_ADDRESS": "0.0.0.0"}, "would answer other machines (0.0.0.0) without a password: set FLOWER_BASIC_AUTH"),
        ({"FLOWER_ADDRESS": ""}, "would answer other machines (all addresses) without a password"),
        ({"FLOWER_BASIC_AUTH": "secret"}, "FLOWER_BASIC_AUTH must be user:password"),
        ({"FLOWER_BASIC_AUTH": "me:"}, "FLOWER_BASIC_AUTH must be user:password"),
    ],
)
def test_flower_does_not_start_where_it_would_be_open_or_shut_to_everybody(
    redis_url: str, tmp_path: Path, env: dict[str, str], said: str
) -> None:
    seen = Flower(redis_url, tmp_path, **env)
    seen.start(ready=False)
    assert seen.process
    assert seen.process.wait(PATIENCE_SECONDS) == 2
    assert said in seen.text()


def test_flower_asks_for_the_password_everywhere_but_for_its_probes(redis_url: str, tmp_path: Path) -> None:
    login = {"FLOWER_ADDRESS": "0.0.0.0", "FLOWER_BASIC_AUTH": "me:secret,you:other"}
    with Flower(redis_url, tmp_path, **login) as seen, httpx.Client(base_url=seen.base, timeout=PATIENCE_SECONDS) as http:
        for path in ("/", "/workers", "/tasks", "/broker", "/task/x", "/api/workers", "/api/tasks", "/api/queues/length"):
            assert http.get(path).status_code == 401, path
            assert http.get(path, auth=("me", "wrong")).status_code == 401, path
        assert [http.get("/api/workers", auth=auth).status_code for auth in (("me", "secret"), ("you", "other"))] == [200, 200]
        assert [http.get(path).status_code for path in ("/metrics", "/healthcheck")] == [200, 200]


def test_flower_keeps_a_bounded_number_of_turns_over_a_restart(redis_url: str, tmp_path: Path) -> None:
    store = TurnStore(Settings(redis_url=redis_url))
    kept = {"FLOWER_PERSISTENT": "true", "FLOWER_DB": str(tmp_path / "tasks"), "FLOWER_MAX_TASKS": "3"}
    with offline_model() as model, Worker(redis_url, tmp_path, OPENAI_BASE_URL=model):
        with Flower(redis_url, tmp_path, **kept) as seen:
            seen.hear_workers()
            for number in range(5):
                store.submit(f"turn-{number}", "foo", QUESTION)
                _settled(seen, f"turn-{number}", "SUCCESS")
            assert seen.stop() == 0
        with Flower(redis_url, tmp_path, **kept) as seen:
            assert set(json.loads(seen.get("/api/tasks"))) == {"turn-2", "turn-3", "turn-4"}
    assert not any(QUESTION.encode() in file.read_bytes() for file in tmp_path.glob("tasks*"))


def test_flower_ends_on_the_first_sigterm(redis_url: str, tmp_path: Path) -> None:
    for _ in range(3):
        with Flower(redis_url, tmp_path) as seen:
            assert seen.stop() == 0
