"""An environment of its own for each client, below .venv-clients, made again when its pins change."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.clients.clients import PROGRAMS, Client
from tests.support.processes import ROOT

ENVIRONMENTS = ROOT / ".venv-clients"
_SECONDS = 900


class NotInstalled(Exception):
    """A client's packages could not be installed; `args` says why."""


def prepare(client: Client) -> Path:
    """Make the client's environment if it is missing or out of date, and return its folder."""
    folder = ENVIRONMENTS / client.name
    stamp, pins = folder / "pins", client.pins.read_text()
    if not stamp.exists() or stamp.read_text() != pins:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (_npm if client.in_node else _python)(client, folder)
        stamp.write_text(pins)
    return folder


def command(client: Client, folder: Path) -> list[str]:
    """Return the command that runs the client's script."""
    if not client.in_node:
        return [str(folder / "bin" / "python"), str(client.script)]
    # Node looks for packages beside the script.
    for file in (*client.folder.iterdir(), PROGRAMS / "steps.mjs"):
        shutil.copy(file, folder)
    return ["node", str(folder / client.script.name)]


def _python(client: Client, folder: Path) -> None:
    if uv := shutil.which("uv"):
        _run([uv, "venv", "-q", "--clear", "--python", sys.executable, str(folder)])
        _run([uv, "pip", "install", "-q", "--python", str(folder / "bin" / "python"), "-r", str(client.pins)])
    else:
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "-r", str(client.pins)])


def _npm(client: Client, folder: Path) -> None:
    shutil.copy(client.pins, folder)
    _run(["npm", "install", "--silent", "--no-package-lock", "--prefix", str(folder)])


def _run(arguments: Sequence[str]) -> None:
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(f"{Path(arguments[0]).name}: {type(error).__name__}") from error
    if done.returncode:
        raise NotInstalled((done.stderr or done.stdout).strip()[-500:])
