"""The lock of a data folder: one embedded server at a time."""

import fcntl
import os
import time
from pathlib import Path

from turnstile.deploy.local.errors import FolderInUse
from turnstile.turns.redis.local_server import LOCK_FILE

_LOCK_SECONDS = 10.0
# A client that asks whether a server runs holds the lock for a moment.
_MOMENT_SECONDS = 0.5
_POLL_SECONDS = 0.02


def lock_folder(folder: Path) -> int:
    """Take the folder's lock, and return it open; a server whose starter is gone gets the time to end."""
    lock = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    start = time.monotonic()
    while not _try_lock(lock):
        owner = os.pread(lock, 32, 0).decode(errors="replace").strip()
        if time.monotonic() - start > (_MOMENT_SECONDS if _is_alive(owner) else _LOCK_SECONDS):
            os.close(lock)
            raise FolderInUse(
                f"Turnstile is already running on {folder} (process {owner or 'unknown'}): "
                "stop that one, or set TURNSTILE_DATA_DIR to another folder."
            )
        time.sleep(_POLL_SECONDS)
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
