"""Workers that start: settings, logins, models, names of nodes."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from celery import Celery

from tests.support.processes import Process, Worker, environment
from tests.support.turns import ended
from tests.support.wait import PATIENCE_SECONDS
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore


def test_deployments_with_prefixes_of_their_own_share_a_server(tmp_path: Path, redis_url: str) -> None:
    chain = "tests.chains.odd:blocking"
    settings = Settings(redis_url=redis_url, key_prefix="a:", history_prefix="ha:")
    turns = TurnStore(settings)
    with (
        Worker(redis_url, tmp_path, TURNSTILE_CHAIN=chain, TURNSTILE_KEY_PREFIX="b:", TURNSTILE_HISTORY_PREFIX="hb:"),
        Worker(redis_url, tmp_path, TURNSTILE_CHAIN=chain),
        Worker(redis_url, tmp_path, TURNSTILE_CHAIN=chain, TURNSTILE_KEY_PREFIX="a:", TURNSTILE_HISTORY_PREFIX="ha:"),
    ):
        for n in range(20):
            turns.submit(f"t{n}", f"s{n}", "hello", Options(queue="batch" if n % 2 else "chat"))
        for n in range(20):
            assert ended(turns, f"t{n}").dispatches == 1
    assert turns.stats()["completed"] == 20


class _KnowsNoModel(BaseHTTPRequestHandler):
    """A model's server on which nobody has a model of that name."""

    def do_GET(self) -> None:
        """Refuse."""
        text = json.dumps({"error": {"message": "No.", "type": "invalid_request_error", "code": "model_not_found"}}).encode()
        self.send_response(404)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        """Nothing."""


def test_a_model_that_its_server_does_not_know_stops_the_worker(tmp_path: Path, redis_url: str) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _KnowsNoModel) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        worker = Worker(redis_url, tmp_path, OPENAI_BASE_URL=f"http://127.0.0.1:{server.server_port}/v1")
        _stops_with_one_line(worker, "TURNSTILE_MODEL")
        server.shutdown()


@pytest.mark.parametrize(
    ("variable", "value", "what"),
    [
        ("TURNSTILE_CHAIN", "no.such.module:chain", "TURNSTILE_CHAIN"),
        ("TURNSTILE_CHAIN", "tests.chains.odd:not_a_chain", "TURNSTILE_CHAIN"),
        ("TURNSTILE_MODEL", "two words", "TURNSTILE_MODEL"),
        ("OPENAI_BASE_URL", "nonsense", "OPENAI_BASE_URL"),
        ("TURNSTILE_LEASE_SECONDS", "soon", "TURNSTILE_LEASE_SECONDS"),
        ("REDIS_URL", "http://localhost", "REDIS_URL"),
    ],
)
def test_a_bad_setting_stops_the_worker_with_one_clear_line(
    tmp_path: Path, redis_url: str, variable: str, value: str, what: str
) -> None:
    worker = Worker(redis_url, tmp_path)
    worker.env[variable] = value
    _stops_with_one_line(worker, what)


def test_a_login_or_database_that_is_wrong_stops_the_worker_with_one_clear_line(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "server", append_only=False, password="word") as server:
        _stops_with_one_line(Worker(server.url.replace(":word@", ":other@"), tmp_path), "refuses the login")
        _stops_with_one_line(Worker(f"{server.url.removesuffix('/0')}/99", tmp_path), "has no database 99")


def test_workers_of_the_same_command_are_nodes_of_their_own(tmp_path: Path, redis_url: str) -> None:
    first, second, named = workers = [Worker(redis_url, tmp_path) for _ in range(3)]
    for worker in (first, second):
        place = worker.command.index("-n")
        del worker.command[place : place + 2]
    with first, second, named, Celery(broker=redis_url) as stranger:
        replies = stranger.control.ping(timeout=PATIENCE_SECONDS, limit=3) or ()
        names = [one for reply in replies for one in reply]
        assert len(set(names)) == len(workers)
        assert sum(name.startswith("turnstile-") for name in names) == 2
        assert all(f"turnstile-{worker.pid}-" in " ".join(names) for worker in (first, second))


def _stops_with_one_line(worker: Worker, what: str) -> None:
    worker.start(ready=False)
    assert worker.process
    assert worker.process.wait(PATIENCE_SECONDS) == 2, worker.text()
    lines = [line for line in worker.text().splitlines() if line.startswith("turnstile: ")]
    assert len(lines) == 1
    assert what in lines[0]
    assert "Traceback" not in worker.text()


def test_a_worker_that_cannot_start_ends_beside_the_threads_it_has_started(tmp_path: Path) -> None:
    text = (
        "import atexit, os\n"
        "from turnstile.workers.process.lifecycle import stop_with\n"
        "atexit.register(os._exit, 7)  # Stands for what ends with the interpreter while a thread uses it.\n"
        "stop_with('no')\n"
    )
    with Process(tmp_path / "log", [sys.executable, "-c", text], environment({})) as process:
        assert process.process
        assert process.process.wait(PATIENCE_SECONDS) == 2
    assert process.text() == "turnstile: no\n"
