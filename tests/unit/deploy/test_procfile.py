"""The Procfile's reader, and what the local stack makes of it."""

import http.server
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pydantic import SecretStr

from turnstile.deploy import procfile
from turnstile.deploy.local.processes import environment, local_processes
from turnstile.turns.errors import SettingError
from turnstile.turns.settings import Settings


def test_lines_become_commands() -> None:
    text = "# the two of us\n\nworker:  celery -A a worker \nflower: celery flower --port=${PORT:-5555}\n"
    assert procfile.parse(text) == {"worker": "celery -A a worker", "flower": "celery flower --port=${PORT:-5555}"}


@pytest.mark.parametrize("line", ["worker", "worker:", "two words: command"])
def test_a_bad_line_is_named(line: str) -> None:
    with pytest.raises(SettingError, match="Procfile, line 2"):
        procfile.parse(f"good: command\n{line}\n")


def test_the_shell_expands_and_becomes_the_program() -> None:
    command = f"{sys.executable} -c 'import os, sys; print(os.getpid(), *sys.argv[1:])' $$ ${{PORT:-7}} ${{NAME}}"
    with subprocess.Popen(procfile.argv(command), stdout=subprocess.PIPE, text=True, env={"NAME": "eight"}) as process:
        out, _ = process.communicate()
    assert out.split() == [str(process.pid), str(process.pid), "7", "eight"]


def test_run_by_name_finds_this_installations_programs(tmp_path: Path) -> None:
    run = [sys.executable, "-m", "turnstile.deploy.procfile"]
    environ = {"PATH": os.defpath, "TURNSTILE_LEASE_SECONDS": "none"}
    wrong = subprocess.run([*run, "worker"], env=environ, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert wrong.returncode == 2
    assert "TURNSTILE_LEASE_SECONDS is not valid" in wrong.stderr
    unknown = subprocess.run([*run, "nobody"], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert unknown.returncode == 1
    assert "no command 'nobody', only worker, flower" in unknown.stderr


def test_settings_survive_the_environment() -> None:
    settings = Settings(
        openai_api_key=SecretStr("secret"), lease_seconds=2.5, show_content=True, max_attempts=3, system_prompt="Kurz。"
    )
    assert Settings.load(environment(settings)) == settings


def test_processes_have_their_settings_order_and_time_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNSTILE_MODEL", "from-outside")
    monkeypatch.setenv("UNRELATED", "kept")
    settings = Settings(redis_url="redis://localhost:1/0", shutdown_seconds=3)
    processes = local_processes(settings, tmp_path, workers=2, ports={"flower": 5001})
    assert [process.name for process in processes] == ["worker.1", "worker.2", "flower"]
    assert [process.stage for process in processes] == [0, 0, 1]
    assert all(process.stop_timeout > 3 + 5 for process in processes[:2])
    for process in processes:
        assert process.env["REDIS_URL"] == "redis://localhost:1/0"
        assert process.env["UNRELATED"] == "kept"
        assert "TURNSTILE_MODEL" not in process.env
        assert process.env["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
        assert "redis://" not in repr(process)
    assert processes[2].env["PORT"] == "5001"
    assert processes[0].env["TURNSTILE_HEALTH_FILE"] != processes[1].env["TURNSTILE_HEALTH_FILE"]


def test_a_worker_is_ready_once_its_health_file_is_there(tmp_path: Path) -> None:
    [worker] = local_processes(Settings(), tmp_path, workers=1, ports={})
    assert not worker.ready()
    Path(worker.env["TURNSTILE_HEALTH_FILE"]).touch()
    assert worker.ready()


def test_a_command_the_procfile_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="no command 'nobody'"):
        local_processes(Settings(), tmp_path, workers=0, ports={"nobody": 1})


@pytest.mark.parametrize(("name", "path"), [("web", "/healthz"), ("flower", "/healthcheck")])
def test_each_server_is_asked_for_its_own_health(name: str, path: str, tmp_path: Path) -> None:
    asked = []

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Server) as server:
        answering = threading.Thread(target=server.handle_request)
        answering.start()
        process = local_processes(Settings(), tmp_path, 0, {name: server.server_port})[-1]
        assert process.ready()
        answering.join()
    assert asked == [path]
