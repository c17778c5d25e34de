"""A primary, its replicas and three sentinels on loopback."""

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.ports import lasting_port
from tests.support.wait import wait_until
from turnstile.deploy.local.ports import HOST
from turnstile.deploy.local.server import EmbeddedServer, binary, environment

_SENTINELS = 3
_DOWN_MS = 1_000
_FAILOVER_MS = 5_000
_SECONDS = 60.0


class Cluster:
    """Servers, of which one is the primary, and the sentinels that watch them. `options` are the servers'."""

    def __init__(self, folder: Path, options: Mapping[str, str] | None = None, replicas: int = 1) -> None:
        self._folder = folder
        self.servers = [EmbeddedServer(folder / f"server-{n}", options=options) for n in range(1 + replicas)]
        self._ports = [lasting_port() for _ in range(_SENTINELS)]
        self._things = ExitStack()

    @property
    def url(self) -> str:
        """The value for REDIS_URL."""
        return f"sentinel://{','.join(f'{HOST}:{port}' for port in self._ports)}/0?master=mymaster"

    def __enter__(self) -> Self:
        with ExitStack() as things:
            for server in self.servers:
                things.enter_context(server)
            for server in self.servers[1:]:
                self._client(server.port).replicaof(HOST, self.servers[0].port)
            for number, port in enumerate(self._ports):
                things.callback(_end, self._start_sentinel(number, port))
            wait_until(self._is_whole, "the sentinels know each other and the replicas follow", _SECONDS)
            self._things = things.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._wake()
        self._things.close()

    def _wake(self) -> None:
        for server in self.servers:
            if server.pid:
                os.kill(server.pid, signal.SIGCONT)

    def primary(self) -> EmbeddedServer | None:
        """Return the server that the sentinels take for the primary and that agrees; None while there is none."""
        with suppress(redis.RedisError):
            port = int(self._client(self._ports[0]).sentinel_get_master_addr_by_name("mymaster")[1])
            server = next(server for server in self.servers if server.port == port)
            if self._client(port).info("replication")["role"] == "master":
                return server
        return None

    def fail_over(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Kill the primary, or with SIGSTOP let it fall silent; return when another one is the primary."""
        old = wait_until(self.primary, "there is a primary", _SECONDS)
        assert old
        if how is signal.SIGKILL:
            old.kill()
        else:
            os.kill(old.pid, how)
        wait_until(lambda: self.primary() not in (None, old), "a replica is promoted", _SECONDS)

    def mend(self) -> None:
        """Start the killed server again, or wake the silent one; return when it follows the new primary."""
        self._wake()
        for server in self.servers:
            server.start()
        wait_until(self._is_whole, "the old primary follows the new one", _SECONDS)

    def _is_whole(self) -> bool:
        primary = self.primary()
        if primary is None:
            return False
        with suppress(redis.RedisError):
            about: Any = self._client(primary.port).info("replication")
            states = [self._client(port).sentinel_master("mymaster") for port in self._ports]
            known = all(int(state["num-other-sentinels"]) == _SENTINELS - 1 for state in states)
            online = [about.get(f"slave{number}", {}).get("state") == "online" for number in range(len(self.servers) - 1)]
            return known and all(online)
        return False

    def _start_sentinel(self, number: int, port: int) -> subprocess.Popen[bytes]:
        folder = self._folder / f"sentinel-{number}"
        folder.mkdir()
        config = folder / "sentinel.conf"
        config.write_text(
            f"port {port}\nbind {HOST}\ndir {folder}\n"
            f"sentinel monitor mymaster {HOST} {self.servers[0].port} 2\n"
            f"sentinel down-after-milliseconds mymaster {_DOWN_MS}\n"
            f"sentinel failover-timeout mymaster {_FAILOVER_MS}\n"
        )
        with (folder / "log").open("wb") as log:
            return subprocess.Popen([str(binary()), str(config), "--sentinel"], env=environment(), stdout=log, stderr=log)

    def _client(self, port: int) -> Any:
        return redis.Redis(host=HOST, port=port, socket_timeout=2, retry=Retry(NoBackoff(), 0), decode_responses=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait()
