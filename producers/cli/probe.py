"""`turnstile probe`: the health of one process of this machine, for supervisors."""

import json
import time
import urllib.error
import urllib.request
from pathlib import Path

from turnstile.producers.cli.terminal import Terminal
from turnstile.turns.errors import SettingError
from turnstile.turns.settings import Settings

STALE_SECONDS = 10.0
"""A healthy worker touches its file every second; one that is busy does, too."""
_GATEWAY_SECONDS = 3.0


def worker(terminal: Terminal, settings: Settings) -> int:
    """Tell whether a worker is healthy, by its health file. Raises SettingError if none is set."""
    if not settings.health_file:
        raise SettingError("TURNSTILE_HEALTH_FILE is unset: set it for the worker and for the probe.")
    try:
        age = max(0.0, time.time() - Path(settings.health_file).stat().st_mtime)
    except OSError as error:
        return _tell(terminal, f"{settings.health_file}: {error.strerror}: the worker is not ready")
    late = age > STALE_SECONDS
    return _tell(terminal, f"no progress for {age:.0f} s: the worker's log names the part that hangs" if late else "")


def gateway(terminal: Terminal, url: str, *, live: bool) -> int:
    """Tell whether a gateway answers and, unless `live`, can work."""
    address = f"{url.rstrip('/')}/{'healthz' if live else 'readyz'}"
    if not address.startswith(("http://", "https://")):
        raise SettingError("--url: write http://host:port.")
    try:
        with urllib.request.urlopen(address, timeout=_GATEWAY_SECONDS):  # noqa: S310 - the scheme is checked
            return _tell(terminal, "")
    except urllib.error.HTTPError as error:
        return _tell(terminal, _message(error))
    except OSError as error:
        return _tell(terminal, f"{address} does not answer ({type(error).__name__})")


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {error.code}"


def _tell(terminal: Terminal, problem: str) -> int:
    terminal.result(problem or "ok", {"healthy": not problem, "problem": problem})
    return int(bool(problem))
