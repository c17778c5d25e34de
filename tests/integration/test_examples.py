"""The programs in `examples/`, each run as its own page says."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import pytest

from tests.integration.conftest import Stack
from tests.support.ports import lasting_port
from tests.support.processes import ROOT, Worker, environment, launch, offline_model
from tests.support.wait import PATIENCE_SECONDS, wait_until
from turnstile.producers.client import ChatClient
from turnstile.turns.settings import Settings

EXAMPLES = ROOT / "examples"


@contextmanager
def served(app: str, stack: Stack, log: Path, **env: str) -> Iterator[httpx.Client]:
    """Yield an example's web app, and a client of it."""
    port = lasting_port()
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(EXAMPLES), app, "--port", str(port)]
    with log.open("wb") as out:
        process = launch(command, env=environment({"REDIS_URL": stack.redis_url, **env}), stdout=out, stderr=out)

    def answers(client: httpx.Client) -> bool:
        assert process.poll() is None, log.read_text()
        with suppress(httpx.TransportError):
            return client.get("/openapi.json").status_code == 200
        return False

    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_SECONDS) as client:
            wait_until(lambda: answers(client), "the app answers")
            yield client
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def _events(reply: httpx.Response) -> list[tuple[str, dict[str, object]]]:
    blocks = [dict(line.split(": ", 1) for line in block.splitlines()) for block in reply.text.split("\n\n") if block]
    return [(block["id"], json.loads(block["data"])) for block in blocks if "event" not in block]


def test_a_web_app_streams_and_resumes(stack: Stack, tmp_path: Path) -> None:
    with served("web_app:app", stack, tmp_path / "log") as client:
        assert "EventSource" in client.get("/").text
        asked = client.post("/ask", json={"session": "example-web", "question": "one two three"})
        assert asked.status_code == 202
        path = f"/answers/{asked.json()['turn']}"
        events = _events(client.get(path))
        assert "".join(str(data["text"]) for _, data in events) == "You said: one two three"
        rest = _events(client.get(path, headers={"last-event-id": events[0][0]}))
        assert rest == events[1:]
        assert client.get("/answers/never-asked").status_code == 404


class _Channel(BaseHTTPRequestHandler):
    heard: list[dict[str, str]]

    def do_POST(self) -> None:
        self.heard.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _tell(client: httpx.Client, id: str, text: str) -> None:
    event = {"event_id": id, "channel": "tea", "user": "eve", "text": text}
    assert client.post("/events", json=event).json() == {"ok": True}


def test_a_bot_posts_each_answer_once_and_goes_on_after_a_restart(stack: Stack, tmp_path: Path) -> None:
    heard: list[dict[str, str]] = []
    handler = type("Channel", (_Channel,), {"heard": heard})
    chat = ChatClient(settings=Settings(redis_url=stack.redis_url))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        env = {"BOT_REPLY_URL": f"http://127.0.0.1:{server.server_port}/", "BOT_OUTBOX": str(tmp_path / "outbox")}
        with served("chat_bot:app", stack, tmp_path / "log", **env) as client:
            for id, text in (("e1", "Hi! I'm Eve"), ("e2", "Whats my name"), ("e1", "Hi! I'm Eve")):
                _tell(client, id, text)
            wait_until(lambda: len({post["id"] for post in heard}) == 2, "both answers are posted")
            _tell(client, "e3", f"[[tokens_per_second=4]] {'slowly ' * 200}the end")
            next(iter(chat.turn("e3").stream(timeout=PATIENCE_SECONDS)))
        with served("chat_bot:app", stack, tmp_path / "log", **env) as client:
            _tell(client, "e2", "Whats my name")
            _tell(client, "e4", "stop")
            wait_until(lambda: len({post["id"] for post in heard}) == 3, "what was said of the third is posted")
        server.shutdown()
    stopped = heard.pop()
    assert sorted((post["id"], post["text"]) for post in heard) == [
        ("e1", "Hello Eve! How can I help you today?"),
        ("e2", "Your name is Eve."),
    ]
    assert (stopped["id"], stopped["text"]) == ("e3", chat.turn("e3").status().answer)
    messages = [message.text for message in chat.history("channel-tea") if message.role == "user"]
    assert messages[:2] == ["Hi! I'm Eve", "Whats my name"]
    assert len(messages) == 3


def _run(name: str, *args: str, redis_url: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / name), *args]
    env = environment({"REDIS_URL": redis_url})
    return subprocess.run(command, env=env, input=typed, capture_output=True, text=True, timeout=240, check=False)


def test_a_nightly_batch_runs_twice_and_asks_once(stack: Stack, tmp_path: Path) -> None:
    target = tmp_path / "answers.csv"
    accepted = stack.store.stats().get("accepted", 0)
    for _ in range(2):
        done = _run("nightly_batch.py", str(EXAMPLES / "questions.csv"), str(target), redis_url=stack.redis_url)
        assert (done.returncode, done.stderr) == (0, "")
        with target.open(newline="") as file:
            answers = [row["answer"] for row in csv.DictReader(file)]
        assert answers[2:] == ["Your name is Ann.", "Your name is Bob."]
    assert stack.store.stats()["accepted"] == accepted + 4


def test_a_plain_celery_app_asks(stack: Stack) -> None:
    done = _run("plain_celery.py", redis_url=stack.redis_url)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["Hello Eve! How can I help you today?", "Your name is Eve."]


def test_a_chain_of_ones_own_looks_things_up(redis_url: str, tmp_path: Path) -> None:
    with offline_model() as base_url:
        env = {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": "none", "TURNSTILE_CHAIN": "examples.retrieval_chain:chain"}
        with Worker(redis_url, tmp_path, 20, **env):
            client = ChatClient(settings=Settings(redis_url=redis_url))
            question = "When are goods returned?"
            answer = client.ask("foo", question).result(timeout=120)
            assert "within thirty days" in answer
            assert "Opening hours" not in answer
            assert [message.text for message in client.history("foo")] == [question, answer]


class _Payments(BaseHTTPRequestHandler):
    """A service that pays once for each idempotency key, and keeps its first caller waiting until `resumed` is set."""

    paid: dict[str, dict[str, object]]
    heard: list[str]
    resumed: Event

    def do_POST(self) -> None:
        payment = json.loads(self.rfile.read(int(self.headers["content-length"])))
        key = self.headers["idempotency-key"]
        self.paid.setdefault(key, payment)
        self.heard.append(key)
        if len(self.heard) == 1:
            self.resumed.wait(PATIENCE_SECONDS)
        with suppress(OSError):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"id": list(self.paid).index(key) + 1}).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_an_agent_pays_once_though_its_worker_dies_while_it_pays(redis_url: str, tmp_path: Path) -> None:
    service: dict[str, Any] = {"paid": {}, "heard": [], "resumed": Event()}
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), type("Payments", (_Payments,), service)) as server,
        offline_model() as base_url,
    ):
        Thread(target=server.serve_forever, daemon=True).start()
        env = {
            "OPENAI_BASE_URL": base_url,
            "OPENAI_API_KEY": "none",
            "TURNSTILE_CHAIN": "examples.paying_agent:agent",
            "PAYMENTS_URL": f"http://127.0.0.1:{server.server_port}/",
        }
        client = ChatClient(settings=Settings(redis_url=redis_url))
        with Worker(redis_url, tmp_path, 4, **env) as first:
            turn = client.ask("foo", 'call pay {"payee": "Ann", "amount": 3}')
            wait_until(lambda: service["heard"], "the payment is made")
            first.kill()
        with Worker(redis_url, tmp_path, 4, **env):
            assert turn.result(timeout=120) == "pay returned payment 1"
        service["resumed"].set()
        server.shutdown()
    assert list(service["paid"].values()) == [{"payee": "Ann", "amount": 3}]
    assert len(service["heard"]) == 2


def test_a_person_approves_and_rejects(redis_url: str, tmp_path: Path) -> None:
    question = 'call refund {"order": 11, "amount": 40}'
    with offline_model() as base_url:
        env = {
            "OPENAI_BASE_URL": base_url,
            "OPENAI_API_KEY": "none",
            "TURNSTILE_CHAINS": '{"refunds": "examples.approval:agent"}',
        }
        with Worker(redis_url, tmp_path, 4, **env):
            stopped = _run("approval.py", "foo", "one", question, redis_url=redis_url)
            assert "EOFError" in stopped.stderr
            approved = _run("approval.py", "foo", "one", question, redis_url=redis_url, typed="y\n")
            assert 'refund {"order":11,"amount":40}: approve?' in approved.stdout
            assert "refund returned refunded 40 of order 11" in approved.stdout
            rejected = _run("approval.py", "foo", "two", question, redis_url=redis_url, typed="n\n")
            assert "refunded" not in rejected.stdout
            assert "rejected" in rejected.stdout
    messages = ChatClient(settings=Settings(redis_url=redis_url)).history("foo")
    assert [message.text for message in messages if message.role == "user"] == [question, question]


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_the_list_of_examples_is_whole(name: str) -> None:
    assert f"({name})" in (EXAMPLES / "README.md").read_text()
    assert os.access(EXAMPLES / name, os.R_OK)
