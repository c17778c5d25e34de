"""Readiness, the log and the drain of a gateway, with real servers and signals."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.gateways import Gateway
from tests.support.processes import Worker, environment
from tests.support.wait import PATIENCE_SECONDS, wait_until
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.turns.api_keys import new_key

_PROGRAM = str(Path(sys.executable).with_name("turnstile"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path / "server", append_only=False) as running:
        yield running


def _probe(*words: str, **env: str) -> tuple[int, str]:
    done = subprocess.run(
        [_PROGRAM, "probe", *words], env=environment(env), capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    return done.returncode, done.stdout


def test_a_frozen_redis_makes_it_unready_at_once_and_is_told(server: EmbeddedServer, tmp_path: Path) -> None:
    with Gateway(server.url, tmp_path) as gateway, gateway.http() as http:
        assert http.get("/readyz").status_code == 200
        assert _probe("gateway", "--url", gateway.url) == (0, "ok\n")
        os.kill(server.pid, signal.SIGSTOP)
        try:
            wait_until(lambda: http.get("/readyz").status_code == 503, "a silent Redis is noticed")
            began = time.monotonic()
            for _ in range(20):
                assert http.get("/readyz").status_code == 503
            # Each waits for no look of its own, which takes two seconds.
            assert time.monotonic() - began < 20
            assert http.get("/healthz").status_code == 200
            status, said = _probe("gateway", "--url", gateway.url, "--json")
            assert (status, json.loads(said)["healthy"]) == (1, False)
            assert _probe("gateway", "--url", gateway.url, "--live")[0] == 0
        finally:
            os.kill(server.pid, signal.SIGCONT)
        wait_until(lambda: http.get("/readyz").status_code == 200, "it is ready again")
        wait_until(lambda: "Redis answers again" in gateway.text(), "the log says so")
        assert gateway.text().count("ERROR not ready: ") == 1


def test_readiness_drops_before_the_listener_closes(server: EmbeddedServer, tmp_path: Path) -> None:
    with Gateway(server.url, tmp_path, TURNSTILE_DRAIN_SECONDS="4") as gateway, gateway.http() as http:
        assert http.get("/readyz").status_code == 200
        gateway.signal(signal.SIGTERM)
        wait_until(lambda: http.get("/readyz").status_code == 503, "readiness drops")
        assert http.get("/readyz").json()["error"]["code"] == "restarting"
        assert http.get("/v1/models").status_code == 200
        assert gateway.process
        assert gateway.process.wait(PATIENCE_SECONDS) in (0, -signal.SIGTERM)


def test_a_second_signal_ends_the_drain(server: EmbeddedServer, tmp_path: Path) -> None:
    with Gateway(server.url, tmp_path, TURNSTILE_DRAIN_SECONDS="3600") as gateway, gateway.http() as http:
        gateway.signal(signal.SIGTERM)
        wait_until(lambda: http.get("/readyz").status_code == 503, "readiness drops")
        gateway.signal(signal.SIGTERM)
        assert gateway.process
        gateway.process.wait(PATIENCE_SECONDS)


def test_a_stop_that_cuts_streams_off_is_told_in_one_line(server: EmbeddedServer, tmp_path: Path) -> None:
    with Gateway(server.url, tmp_path) as gateway, gateway.http() as http:
        with (
            http.stream("POST", "/v1/responses", json={"input": "hi", "stream": True}) as asked,
            http.stream("POST", "/v1/responses", json={"input": "hi", "stream": True, "background": True}) as followed,
        ):
            streams = [answer.iter_lines() for answer in (asked, followed)]
            assert all(next(lines) for lines in streams)
            gateway.stop()
            for lines in streams:
                with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
                    list(lines)
        told = re.findall(r"(?:WARNING|ERROR)\W+(.*)", gateway.text())
        assert told[1:] == ["stopping: requests that are still open are cut off (2); clients resume their streams"]


def test_each_request_has_a_line_without_content(server: EmbeddedServer, tmp_path: Path) -> None:
    key = new_key("shop", "acme")
    entries = json.dumps({key.digest: key.entry})
    with Worker(server.url, tmp_path), Gateway(server.url, tmp_path, TURNSTILE_API_KEYS=entries) as gateway:
        sdk = gateway.sdk(api_key=key.text)
        response = sdk.responses.create(input="a secret question", conversation="conv_private")
        wait_until(lambda: response.id in gateway.text(), "the request is logged")
        with gateway.http() as http:
            http.get("/v1/models")
            http.get("/healthz")
        wait_until(lambda: " 401 " in gateway.text(), "the refusal is logged")
        text = gateway.text()
        assert re.search(rf"INFO req_[0-9a-f]{{32}} acme POST /v1/responses {response.id} 200 \d+\.\d{{3}} s", text)
        assert "secret" not in text
        assert "private" not in text
        assert "healthz" not in text


def test_a_server_that_may_lose_turns_is_warned_of(tmp_path: Path) -> None:
    options = {"maxmemory-policy": "allkeys-lru"}
    with (
        EmbeddedServer(tmp_path / "server", append_only=False, options=options) as server,
        Gateway(server.url, tmp_path) as gateway,
        Worker(server.url, tmp_path) as worker,
    ):
        for process in (gateway, worker):
            wait_until(lambda p=process: "no append-only file" in p.text(), "the missing log is told")  # type: ignore[misc]
            assert "maxmemory-policy is allkeys-lru" in process.text()


def test_a_busy_worker_is_healthy_and_a_hung_one_is_not(server: EmbeddedServer, tmp_path: Path) -> None:
    file = str(tmp_path / "health")
    assert _probe("worker", TURNSTILE_HEALTH_FILE=file)[0] == 1
    assert _probe("worker")[0] == 2
    with Worker(server.url, tmp_path, TURNSTILE_HEALTH_FILE=file) as worker:
        wait_until(lambda: _probe("worker", TURNSTILE_HEALTH_FILE=file)[0] == 0, "it is healthy")
        worker.signal(signal.SIGSTOP)
        try:
            wait_until(lambda: _probe("worker", TURNSTILE_HEALTH_FILE=file)[0] == 1, "a hung one is not")
        finally:
            worker.signal(signal.SIGCONT)
        wait_until(lambda: _probe("worker", TURNSTILE_HEALTH_FILE=file)[0] == 0, "it is healthy again")
