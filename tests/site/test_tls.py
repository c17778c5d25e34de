"""Everything over TLS with certificates on both sides and a user for each role, and nothing beside it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.site.secure_redis import Secure, SecureRedis
from tests.support.certificates import Certificates
from tests.support.commands import run_as
from tests.support.flower import Flower
from tests.support.gateways import Gateway
from tests.support.processes import Worker
from tests.support.wait import wait_until
from turnstile.producers.client import ChatClient


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureRedis]:
    with SecureRedis(Secure(tmp_path_factory.mktemp("tls"))) as running:
        yield running


def test_every_process_works_over_it(secure: SecureRedis, tmp_path: Path) -> None:
    worker, gateway = Worker(secure.url("worker"), tmp_path), Gateway(secure.url("gateway"), tmp_path)
    with worker, gateway, Flower(secure.url("flower"), tmp_path) as seen:
        seen.hear_workers()
        assert ChatClient(secure.url("producer")).ask("foo", "hello").result(timeout=120) == "You said: hello"
        with gateway.sdk() as sdk:
            stream = sdk.responses.create(model="m", input="hello", stream=True)
            assert [event.type for event in stream][-1] == "response.completed"
            response = sdk.responses.create(model="m", input="hello")
        wait_until(lambda: seen.task(response.id).get("state") == "SUCCESS", "Flower shows the turn")
        assert (
            "prefetch_count"
            in run_as(secure.url("operator"), "celery", "-A", "turnstile", "inspect", "--timeout=20", "stats")[1]
        )
        assert run_as(secure.url("operator"), "turnstile", "top", "--once")[0] == 0
        assert worker.stop() == 0
    assert "permission" not in worker.text() + gateway.text()


def test_a_client_without_a_certificate_is_refused(secure: SecureRedis) -> None:
    with pytest.raises(redis.ConnectionError), redis.Redis.from_url(secure.url("producer", shows_certificate=False)) as client:
        client.ping()
    with pytest.raises(redis.ConnectionError), redis.Redis(port=secure.port, socket_timeout=5) as plain:
        plain.ping()


def test_a_server_of_another_authority_is_refused(secure: SecureRedis, tmp_path: Path) -> None:
    strange = secure.url("producer").replace(str(secure.secure.certificates.authority), str(Certificates(tmp_path).authority))
    status, said = run_as(strange, "turnstile", "stats")
    assert (status, "is not trusted" in said) == (3, True), said
