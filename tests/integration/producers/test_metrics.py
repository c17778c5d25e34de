"""Metrics of turns that real workers answered: printed, served, and told by the gateway to operators alone."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.gateways import Gateway
from tests.support.ports import lasting_port
from tests.support.processes import Worker, environment, launch
from tests.support.wait import PATIENCE_SECONDS, wait_until
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.producers.metrics.exposition import exposition
from turnstile.producers.metrics.snapshot import Snapshot
from turnstile.turns.api_keys import NewKey, new_key
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore

_PROGRAM = str(Path(sys.executable).with_name("turnstile"))

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def _read(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, frozenset(labels.items())), 0)


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TurnStore]:
    """A store of a deployment with one worker that has answered five turns, one of them streamed."""
    folder = tmp_path_factory.mktemp("metrics")
    with EmbeddedServer(folder / "server", append_only=False) as server, Worker(server.url, folder, 3):
        store = TurnStore(Settings(redis_url=server.url))
        for number in range(5):
            store.submit(f"t{number}", f"s{number % 2}", "secret question", Options(stream=number == 0))
        wait_until(lambda: store.stats().get("completed") == 5, "all turns are answered")
        yield store


def _exposed(store: TurnStore) -> str:
    return exposition(Snapshot.take(store)).decode()


def test_every_turn_is_counted(answered: TurnStore) -> None:
    samples = _read(_exposed(answered))
    assert _value(samples, "turnstile_turns_accepted_total", queue="chat") == 5
    ended = {"state": "completed", "queue": "chat", "chain": "default", "code": ""}
    assert _value(samples, "turnstile_turns_ended_total", **ended) == 5
    assert _value(samples, "turnstile_attempts_total", queue="chat") == 5
    assert _value(samples, "turnstile_model_calls_total") == 5
    assert _value(samples, "turnstile_first_text_seconds_count", queue="chat") == 1
    assert _value(samples, "turnstile_run_seconds_count", queue="chat", chain="default") == 5
    assert _value(samples, "turnstile_ready_seconds_count", queue="chat") == 5
    output = [labels for name, labels in samples if name == "turnstile_tokens_total" and ("direction", "output") in labels]
    assert sum(samples["turnstile_tokens_total", labels] for labels in output) > 5
    assert _value(samples, "turnstile_workers") == 1
    assert _value(samples, "turnstile_worker_slots") == 3
    assert _value(samples, "turnstile_redis_memory_bytes") > 0


def test_no_content_and_no_name_of_a_session_is_told(answered: TurnStore) -> None:
    text = _exposed(answered)
    assert "secret" not in text
    labels = {label for (_, labels) in _read(text) for label, _ in labels}
    assert labels <= {"queue", "state", "chain", "code", "cause", "direction", "model", "outcome", "phase", "version", "le"}


def test_the_command_prints_them(answered: TurnStore) -> None:
    env = environment({"REDIS_URL": answered.url})
    done = subprocess.run([_PROGRAM, "metrics"], env=env, capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS)
    assert _value(_read(done.stdout), "turnstile_redis_up") == 1


def test_the_command_serves_them(answered: TurnStore) -> None:
    port = lasting_port()
    command = [_PROGRAM, "metrics", "--serve", str(port)]
    process = launch(command, env=environment({"REDIS_URL": answered.url}))
    try:

        def scrape() -> httpx.Response | None:
            try:
                return httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30)
            except httpx.TransportError:
                return None

        wait_until(scrape, "it serves")
        answer = scrape()
        assert answer
        assert answer.headers["content-type"].startswith("text/plain")
        assert _value(_read(answer.text), "turnstile_workers") == 1
        assert httpx.get(f"http://127.0.0.1:{port}/other").status_code == 404
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_SECONDS) == 130


def test_redis_away_is_told_and_no_error() -> None:
    store = TurnStore(Settings(redis_url=f"redis://127.0.0.1:{lasting_port()}/0"))
    assert _read(_exposed(store))[("turnstile_redis_up", frozenset())] == 0


@pytest.fixture
def keys() -> tuple[NewKey, NewKey]:
    return new_key("shop", "acme"), new_key("prometheus", role="operator")


def test_the_gateway_tells_operators_alone(answered: TurnStore, keys: tuple[NewKey, NewKey], tmp_path: Path) -> None:
    tenant, operator = keys
    entries = json.dumps({key.digest: key.entry for key in keys})
    with Gateway(answered.url, tmp_path, TURNSTILE_API_KEYS=entries) as gateway:

        def get(path: str, key: str = "") -> httpx.Response:
            headers = {"authorization": f"Bearer {key}"} if key else {}
            return httpx.get(f"{gateway.url}{path}", headers=headers)

        assert get("/metrics").status_code == 401
        refused = get("/metrics", tenant.text)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "wrong_role")
        found = get("/metrics", operator.text)
        assert found.status_code == 200
        assert _value(_read(found.text), "turnstile_redis_up") == 1
        assert get("/v1/models", operator.text).status_code == 403
        assert get("/v1/models", tenant.text).status_code == 200


def test_a_gateway_without_keys_tells_its_own_machine_alone(answered: TurnStore, tmp_path: Path) -> None:
    with Gateway(answered.url, tmp_path, TURNSTILE_TRUSTED_HOSTS="chat.example.com") as gateway:
        assert httpx.get(f"{gateway.url}/metrics").status_code == 200
        assert httpx.get(f"{gateway.url}/metrics", headers={"host": "chat.example.com"}).status_code == 403
        proxied = {"x-forwarded-for": "192.0.2.1"}
        assert httpx.get(f"{gateway.url}/metrics", headers=proxied).status_code == 403
