"""The server that `turnstile up` runs for its user: where its data is, and how the user's other programs find it."""

import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

from turnstile.turns.settings import Settings

RUNTIME_FILE = "redis.url"
LOCK_FILE = "lock"

_PROBE_SECONDS = 0.5


def data_folder(settings: Settings) -> Path:
    """Return the folder of the embedded server's data and address."""
    if settings.data_dir:
        return Path(settings.data_dir).expanduser()
    home = Path.home()
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "turnstile"
    return Path(settings.xdg_data_home or home / ".local" / "share") / "turnstile"


def running_url(folder: Path) -> str:
    """Return the running server's URL, which has its password; empty when none runs.

    After SIGKILL the file stays, and another program may take the port. Only the server's lock tells that it is the server.
    """
    try:
        url = (folder / RUNTIME_FILE).read_text().strip()
        parts = urlsplit(url)
        if not _is_locked(folder / LOCK_FILE):
            return ""
        with socket.create_connection((parts.hostname or "", parts.port or 0), _PROBE_SECONDS):
            return url
    except (OSError, ValueError):
        return ""


def _is_locked(file: Path) -> bool:
    try:
        import fcntl
    except ImportError:  # no embedded server runs on such a system
        return False
    with file.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
