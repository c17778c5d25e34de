"""Log lines of real processes, as JSON."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateways import Gateway
from tests.support.processes import Process, Worker, environment
from tests.support.wait import wait_until
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SECRET = "zebra"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class QuietWorker(Process):
    """A worker by the Procfile's own command."""

    def __init__(self, redis_url: str, folder: Path, **env: str) -> None:
        command = [sys.executable, "-m", "turnstile.deploy.procfile", "worker"]
        super().__init__(folder / "quiet.log", command, environment({"REDIS_URL": redis_url, **env}))

    def readiness(self) -> Any:
        """Return the check whether the worker takes tasks."""
        return lambda: " ready." in self.text()


def _lines(process: Process) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in process.text().splitlines()]
    assert all({"time", "level", "logger", "message"} <= line.keys() and _TIME.fullmatch(line["time"]) for line in lines)
    return lines


def test_every_line_is_json_and_says_what_it_is_about(redis_url: str, tmp_path: Path) -> None:
    turns = TurnStore(Settings(redis_url=redis_url))
    env = {"TURNSTILE_LOG_FORMAT": "json", "TURNSTILE_RETRY_BASE_SECONDS": "0.01"}
    worker, gateway = QuietWorker(redis_url, tmp_path, **env), Gateway(redis_url, tmp_path, **env)
    with worker, gateway, gateway.http() as http:
        body = {"input": f"Tell me of a {SECRET} [[fail=500 times=1]]", "conversation": None, "store": True}
        answer = http.post("/v1/responses", json=body, headers={"traceparent": f"00-{TRACE}-{'1' * 16}-01"})
        assert answer.status_code == 200, answer.text
        turn = answer.json()["id"]
        assert http.get("/v1/responses/resp_unknown").status_code == 404
        wait_until(lambda: "attempt 2 completed" in worker.text(), "the attempt is told")
        session = turns.status(turn).session
        worker.stop()
        gateway.stop()
    at_work, asked = _lines(worker), _lines(gateway)
    attempts = [line for line in at_work if re.search(r": attempt \d ", line["message"])]
    assert [(line["turn"], line["session"], line["attempt"]) for line in attempts] == [(turn, session, 1), (turn, session, 2)]
    assert {line["trace_id"] for line in at_work if line.get("turn")} == {TRACE}
    [request] = [line for line in asked if " POST " in line["message"]]
    assert (request["request_id"], request["turn"], request["trace_id"]) == (answer.headers["x-request-id"], turn, TRACE)
    assert not any("received" in line["message"] or "succeeded" in line["message"] for line in at_work)
    assert not any(line.keys() & {"turn", "request_id"} for line in (at_work[-1], asked[-1]))
    assert SECRET not in worker.text() + gateway.text()


def test_lines_are_readable_unless_they_are_asked_for_as_json(redis_url: str, tmp_path: Path) -> None:
    turns = TurnStore(Settings(redis_url=redis_url))
    with Worker(redis_url, tmp_path) as worker:
        turns.submit("a", "foo", f"Tell me of a {SECRET}")
        wait_until(lambda: "turn a: attempt 1 completed after" in worker.text(), "the attempt is told")
    assert "received" not in worker.text()
    assert SECRET not in worker.text()


@pytest.mark.parametrize("form", ["JSON", "logfmt"])
def test_other_forms_are_named(redis_url: str, tmp_path: Path, form: str) -> None:
    worker = Worker(redis_url, tmp_path, TURNSTILE_LOG_FORMAT=form)
    worker.start(ready=False)
    assert worker.process
    assert worker.process.wait(120) == 2
    assert "TURNSTILE_LOG_FORMAT is not valid" in worker.text()
