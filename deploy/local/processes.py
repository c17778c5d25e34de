"""The processes on one machine: the Procfile's commands, with their environment, their probes and the order of their end."""

import http.client
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from turnstile.deploy import procfile
from turnstile.deploy.local.ports import HOST
from turnstile.deploy.local.supervisor import Process
from turnstile.turns.settings import Settings

# Beyond `shutdown_seconds`: time to return turns and to end the interpreter.
_STOP_MARGIN_SECONDS = 7.0
_HEALTH = {"web": "/healthz", "flower": "/healthcheck"}
_PROBE_SECONDS = 2.0


def local_processes(settings: Settings, folder: Path, workers: int, ports: Mapping[str, int]) -> list[Process]:
    """Return `workers` workers, and one process for each name in `ports`; workers end first, the last of `ports` ends last.

    `folder` is for the workers' health files.

    Raises:
        SettingError: the Procfile has no command of such a name.
    """
    return [
        *(_worker(settings, f"worker.{n}", folder) for n in range(1, workers + 1)),
        *(_server(settings, name, port, stage) for stage, (name, port) in enumerate(ports.items(), 1)),
    ]


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment variables that make `Settings.load` give these settings again: secrets among them."""
    values = {field: getattr(settings, field) for field in settings.model_fields_set}
    return {Settings.variable(field): _text(value) for field, value in values.items() if value not in (None, "")}


def _text(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _worker(settings: Settings, name: str, folder: Path) -> Process:
    health = folder / name
    return Process(
        name=name,
        argv=procfile.argv(procfile.command("worker")),
        env=_whole_environment(settings.model_copy(update={"health_file": str(health)})),
        stop_timeout=settings.shutdown_seconds + _STOP_MARGIN_SECONDS,
        ready=health.exists,
    )


def _server(settings: Settings, name: str, port: int, stage: int) -> Process:
    return Process(
        name=name,
        argv=procfile.argv(procfile.command(name)),
        env={**_whole_environment(settings), "PORT": str(port)},
        stage=stage,
        ready=partial(_answers, port, _HEALTH[name]),
    )


def _whole_environment(settings: Settings) -> dict[str, str]:
    """Return this process's environment with these settings in place of its own, and this installation's programs first."""
    names = {Settings.variable(field) for field in Settings.model_fields}
    others = {name: value for name, value in os.environ.items() if name not in names}
    return {**others, **environment(settings), "PATH": procfile.search_path()}


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=_PROBE_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
