"""The embedded server, as a real process with real files."""

import fcntl
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.support.processes import is_gone
from tests.support.wait import wait_until
from turnstile.deploy.local.errors import FolderInUse, ServerNotStarted
from turnstile.deploy.local.memory import half_of_memory
from turnstile.deploy.local.ports import free_port
from turnstile.deploy.local.private_files import CONFIG_FILE, LOG_FILE
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.turns.errors import SettingError
from turnstile.turns.redis.local_server import RUNTIME_FILE, running_url


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / 'a folder "with" spaces'


@pytest.fixture
def embedded(folder: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(folder) as running:
        yield running


def put(server: EmbeddedServer, key: str, value: str) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.set(key, value)


def get(server: EmbeddedServer, key: str) -> str | None:
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        value = client.get(key)
        assert value is None or isinstance(value, str)
        return value


def test_runs_with_our_configuration(embedded: EmbeddedServer, folder: Path) -> None:
    with redis.Redis.from_url(embedded.url, decode_responses=True) as client:
        wanted = ("dir", "maxmemory-policy", "appendonly", "appendfsync", "bind", "save")
        found = {name: client.config_get(name)[name] for name in wanted}
        assert client.info("server")["process_id"] == embedded.pid
        assert client.config_get("maxmemory")["maxmemory"] == str(half_of_memory())
    assert found == {
        "dir": str(folder),
        "maxmemory-policy": "noeviction",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "bind": "127.0.0.1",
        "save": "",
    }


def test_a_password_of_any_characters_is_asked_for_and_kept_private(folder: Path) -> None:
    with EmbeddedServer(folder, password='p" \\@/%#') as server:
        put(server, "key", "value")
        assert get(server, "key") == "value"
        with (
            redis.Redis(port=server.port, socket_timeout=5) as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.get("key")
    assert stat.S_IMODE((folder / CONFIG_FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def _servers(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.name != "theirs.log"]


def _modes_for_others(folder: Path) -> set[int]:
    return {stat.S_IMODE(file.stat().st_mode) & 0o077 for file in _servers(folder)}


def test_in_a_folder_that_others_may_read_they_read_nothing_of_the_server_s(folder: Path) -> None:
    (folder / "appendonlydir").mkdir(mode=0o755, parents=True)
    (folder / "theirs.log").touch(mode=0o644)
    with EmbeddedServer(folder) as server:
        put(server, "key", "a secret")
        assert _modes_for_others(folder) == {0}, "from the first start on"
        server.restart()
        (folder / LOG_FILE).chmod(0o644)  # as a version before left it
    with EmbeddedServer(folder):
        assert {"appendonlydir", LOG_FILE, CONFIG_FILE, "lock"} <= {file.name for file in _servers(folder)}
        assert any(b"a secret" in file.read_bytes() for file in _servers(folder) if file.is_file())
        assert _modes_for_others(folder) == {0}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert stat.S_IMODE((folder / "theirs.log").stat().st_mode) == 0o644


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_folder_that_is_none_is_told_with_its_variable(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingError, match=r"^TURNSTILE_DATA_DIR: .*file.* cannot hold the server's data \(.+\):"):
        EmbeddedServer(tmp_path / name).start()


def test_the_address_that_a_killed_starter_left_is_not_taken_for_the_next_server_s(folder: Path) -> None:
    """Until the next one has told its own, a program would send its questions to whoever has that port now."""
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        (folder / RUNTIME_FILE).write_text(f"redis://:secret@127.0.0.1:{stranger.getsockname()[1]}/0\n")
        with EmbeddedServer(folder):
            assert running_url(folder) == ""


def test_a_client_that_asks_whether_a_server_runs_keeps_none_from_starting(folder: Path) -> None:
    folder.mkdir()
    with (folder / "lock").open("w") as asked:
        asked.write(f"{os.getpid()}\n")
        asked.flush()
        fcntl.flock(asked, fcntl.LOCK_SH)
        threading.Timer(0.1, lambda: fcntl.flock(asked, fcntl.LOCK_UN)).start()
        with EmbeddedServer(folder) as server:
            assert server.pid


def test_further_options_and_maxmemory_reach_the_server(folder: Path) -> None:
    with (
        EmbeddedServer(folder, maxmemory="64mb", append_fsync="always", options={"databases": "3"}) as server,
        redis.Redis.from_url(server.url, decode_responses=True) as client,
    ):
        assert client.config_get("maxmemory")["maxmemory"] == str(64 * 1024 * 1024)
        assert client.config_get("appendfsync")["appendfsync"] == "always"
        assert client.config_get("databases")["databases"] == "3"


def test_data_and_port_outlive_restarts_and_kills(embedded: EmbeddedServer) -> None:
    url = embedded.url
    put(embedded, "restarted", "yes")
    embedded.restart()
    put(embedded, "killed", "yes")
    embedded.kill()
    assert embedded.pid == 0
    embedded.start()
    assert embedded.url == url
    assert get(embedded, "restarted") == "yes"
    assert get(embedded, "killed") == "yes"


def test_a_start_ends_when_the_data_are_loaded(folder: Path) -> None:
    # Microseconds for each key. The server answers some commands meanwhile.
    slow = {"key-load-delay": "200"}
    with EmbeddedServer(folder, options=slow) as server, redis.Redis.from_url(server.url) as client:
        with client.pipeline(transaction=False) as pipe:
            for number in range(10_000):
                pipe.set(f"key-{number}", "x" * 100)
            pipe.execute()
        server.restart()
        assert client.info("persistence")["loading"] == 0


def test_without_append_only_a_restart_begins_empty(folder: Path) -> None:
    with EmbeddedServer(folder, append_only=False) as server:
        put(server, "key", "value")
        server.restart()
        assert get(server, "key") is None


def test_stop_ends_the_process_and_frees_the_folder(folder: Path) -> None:
    server = EmbeddedServer(folder)
    server.start()
    pid = server.pid
    server.stop()
    assert is_gone(pid)
    with EmbeddedServer(folder) as another:
        assert another.pid != pid


def test_a_stuck_server_is_killed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnstile.deploy.local.server._STOP_SECONDS", 0.2)
    server = EmbeddedServer(folder)
    server.start()
    pid = server.pid
    os.kill(pid, signal.SIGSTOP)
    server.stop()
    assert is_gone(pid)


def test_starting_twice_keeps_the_one(embedded: EmbeddedServer) -> None:
    pid = embedded.pid
    embedded.start()
    assert embedded.pid == pid


def test_a_second_server_on_the_folder_is_refused_with_the_reason(embedded: EmbeddedServer, folder: Path) -> None:
    with pytest.raises(FolderInUse, match=rf"already running on .*\(process {os.getpid()}\).*TURNSTILE_DATA_DIR"):
        EmbeddedServer(folder).start()
    assert embedded.pid


def test_a_taken_port_is_named_with_the_end_of_the_log(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ServerNotStarted, match="Address already in use"):
        EmbeddedServer(folder, port=taken.getsockname()[1]).start()
    with EmbeddedServer(folder) as freed:
        assert freed.pid


def test_a_port_lost_to_somebody_else_is_replaced(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = iter([taken.getsockname()[1], free_port()])
        monkeypatch.setattr("turnstile.deploy.local.server.free_port", lambda: next(ports))
        with EmbeddedServer(folder) as server:
            put(server, "key", "value")
            assert server.port != taken.getsockname()[1]


def test_a_bad_option_is_shown_as_the_server_says_it(folder: Path) -> None:
    with pytest.raises(ServerNotStarted, match="no-such-option"):
        EmbeddedServer(folder, options={"no-such-option": "1"}).start()


def test_another_server_on_the_port_is_not_taken_for_ours(folder: Path, server: EmbeddedServer) -> None:
    with pytest.raises(ServerNotStarted):
        EmbeddedServer(folder, port=server.port).start()


def test_it_outlives_the_thread_that_started_it(folder: Path) -> None:
    server = EmbeddedServer(folder)
    try:
        thread = threading.Thread(target=server.start)
        thread.start()
        thread.join()
        put(server, "key", "value")
        assert get(server, "key") == "value"
    finally:
        server.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their starter")
def test_it_does_not_outlive_a_killed_starter_and_keeps_what_was_written(folder: Path) -> None:
    code = (
        "import sys, redis; from pathlib import Path; from turnstile.deploy.local.server import EmbeddedServer\n"
        "server = EmbeddedServer(Path(sys.argv[1])); server.start()\n"
        "redis.Redis.from_url(server.url).set('key', 'value')\n"
        "print(server.pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        starter.kill()
    with EmbeddedServer(folder) as next_one:
        assert get(next_one, "key") == "value"
    wait_until(lambda: is_gone(pid), "the orphaned server has ended")
