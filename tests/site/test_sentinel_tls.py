"""Sentinel with TLS and users, as docs/operations.md sets them up: turns before and after the primary's death."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import redis

from tests.site.secure_redis import PASSWORDS, Secure, SecureRedis, redis_server
from tests.support.commands import run_as
from tests.support.gateways import Gateway
from tests.support.ports import lasting_port
from tests.support.processes import Process, Worker
from tests.support.wait import wait_until
from turnstile.producers.client import ChatClient
from turnstile.turns.errors import QueueUnreachable

_SENTINELS = 3
# Each server names itself to the others as its certificate does.
_SERVER = [
    *("--tls-replication", "yes", "--replica-announce-ip", "localhost"),
    *("--masteruser", "admin", "--masterauth", PASSWORDS["admin"]),
    *("--min-replicas-to-write", "1", "--min-replicas-max-lag", "10"),
]
_CONFIG = """sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel announce-ip localhost
sentinel monitor turnstile localhost {port} 2
sentinel auth-user turnstile admin
sentinel auth-pass turnstile {password}
sentinel down-after-milliseconds turnstile 1000
sentinel failover-timeout turnstile 5000
"""


class SecureSentinel(Process):
    """A Sentinel of which only the TLS port is open."""

    def __init__(self, secure: Secure, primary: int) -> None:
        self.port, self._secure = lasting_port(), secure
        config = secure.folder / f"sentinel-{self.port}.conf"
        config.write_text(_CONFIG.format(port=primary, password=PASSWORDS["admin"]))
        command = [*redis_server(self.port, secure, config), "--sentinel", "--tls-replication", "yes"]
        super().__init__(secure.folder / f"sentinel-{self.port}.log", command, {"PATH": "/usr/bin:/bin", "LC_ALL": "C"})

    def readiness(self) -> Callable[[], bool]:
        """Return the check whether it answers."""
        return lambda: bool(self.state())

    def state(self) -> dict[str, str]:
        """Return what it knows of the primary; nothing while it does not answer."""
        with suppress(redis.RedisError), self._secure.client(self.port) as client:
            found: dict[str, str] = client.sentinel_master("turnstile")
            return found
        return {}


class Site:
    """A primary, two replicas and the Sentinels."""

    def __init__(self, folder: Path, things: ExitStack) -> None:
        self.secure = Secure(folder)
        self.primary = things.enter_context(SecureRedis(self.secure, *_SERVER))
        following = [*_SERVER, "--replicaof", f"localhost {self.primary.port}"]
        for _ in range(2):
            things.enter_context(SecureRedis(self.secure, *following))
        self.sentinels = [things.enter_context(SecureSentinel(self.secure, self.primary.port)) for _ in range(_SENTINELS)]
        wait_until(self._is_whole, "the Sentinels know each other and the replicas")

    def url(self, user: str) -> str:
        """Return a user's URL."""
        hosts = ",".join(f"localhost:{sentinel.port}" for sentinel in self.sentinels)
        return f"rediss+sentinel://{user}:{PASSWORDS[user]}@{hosts}/turnstile/0?{self.secure.query()}"

    def _is_whole(self) -> bool:
        states = [sentinel.state() for sentinel in self.sentinels]
        return all(
            state and (int(state["num-slaves"]), int(state["num-other-sentinels"])) == (2, _SENTINELS - 1) for state in states
        )


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as things:
        yield Site(tmp_path, things)


def test_turns_before_and_after_a_failover(site: Site, tmp_path: Path) -> None:
    client = ChatClient(site.url("producer"))
    worker, gateway = Worker(site.url("worker"), tmp_path), Gateway(site.url("gateway"), tmp_path)
    with worker, gateway, gateway.http() as http:
        assert client.ask("foo", "before").result(timeout=120) == "You said: before"
        site.primary.kill()

        def is_asked() -> bool:
            with suppress(QueueUnreachable):
                return client.ask("foo", "after", id="after").result(timeout=120) == "You said: after"
            return False

        wait_until(is_asked, "a turn is answered by the new primary")
        wait_until(lambda: http.get("/readyz").status_code == 200, "the gateway is ready")
        response = http.post("/v1/responses", json={"model": "m", "input": "hello"})
        assert response.json()["status"] == "completed"
        assert len(client.history("foo")) == 4
        assert run_as(site.url("operator"), "turnstile", "top", "--once")[0] == 0
        assert worker.stop() == 0
