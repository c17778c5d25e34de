"""Redis itself with TLS, certificates on both sides, and a user for each role: everything over it, and nothing beside it."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import redis

from tests.support.certificates import Certificates
from tests.support.commands import run_as
from tests.support.flower import Flower
from tests.support.gateways import Gateway
from tests.support.ports import lasting_port
from tests.support.processes import Process, Worker
from tests.support.wait import wait_until
from turnstile.deploy import acl
from turnstile.producers.client import ChatClient
from turnstile.turns.settings import Settings

PASSWORDS = {user: f"{user}-password" for user in acl.USERS}


class SecureRedis(Process):
    """A server of which only the TLS port is open, to clients that show a certificate of its authority."""

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        program = shutil.which("redis-server")
        assert program, "redis-server is missing: install it (Debian: apt-get install redis-server)"
        self.port, self.certificates = lasting_port(), certificates
        (folder / "users.acl").write_text(acl.text(Settings(), {user: acl.digest(word) for user, word in PASSWORDS.items()}))
        own, key = certificates.sign("server")
        files = ["--tls-cert-file", str(own), "--tls-key-file", str(key), "--tls-ca-cert-file", str(certificates.authority)]
        where = ["--bind", "127.0.0.1", "--port", "0", "--tls-port", str(self.port), "--dir", str(folder), "--save", ""]
        command = [program, *where, *files, "--tls-auth-clients", "yes", "--aclfile", str(folder / "users.acl")]
        super().__init__(folder / "redis.log", command, {"PATH": "/usr/bin:/bin", "LC_ALL": "C"})
        self._shown = certificates.sign("client")

    def readiness(self) -> Callable[[], bool]:
        """Return the check whether the server answers."""
        return self._answers

    def _answers(self) -> bool:
        with suppress(redis.ConnectionError), redis.Redis.from_url(self.url("admin")) as client:
            return bool(client.ping())
        return False

    def url(self, user: str, *, shows_certificate: bool = True) -> str:
        """Return a user's URL."""
        query = f"ssl_ca_certs={self.certificates.authority}"
        if shows_certificate:
            query += "&ssl_certfile={}&ssl_keyfile={}".format(*self._shown)
        return f"rediss://{user}:{PASSWORDS[user]}@localhost:{self.port}/0?{query}"


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureRedis]:
    folder = tmp_path_factory.mktemp("tls")
    with SecureRedis(folder, Certificates(folder)) as running:
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
    strange = secure.url("producer").replace(str(secure.certificates.authority), str(Certificates(tmp_path).authority))
    status, said = run_as(strange, "turnstile", "stats")
    assert (status, "is not trusted" in said) == (3, True), said
