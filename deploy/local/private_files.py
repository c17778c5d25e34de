"""Files that only their owner may read: conversations, passwords and addresses lie in them."""

import os
from pathlib import Path
from typing import BinaryIO

from turnstile.turns.errors import SettingError
from turnstile.turns.redis.local_server import LOCK_FILE, RUNTIME_FILE

LOG_FILE = "valkey.log"
CONFIG_FILE = "valkey.conf"

_FOLDER, _FILE = 0o700, 0o600
# The files that a server keeps in its folder; an older version left them readable.
_OURS = ("appendonlydir", "appendonlydir/*", "dump.rdb", CONFIG_FILE, LOG_FILE, LOCK_FILE, RUNTIME_FILE)


def prepare_folder(folder: Path) -> None:
    """Make the folder if there is none, and take the rights of others from the server's files in it.

    The folder may hold other things, so its own rights stay as they are.

    Raises:
        SettingError: the folder cannot be made or used.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=_FOLDER)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
        for file in (found for pattern in _OURS for found in folder.glob(pattern)):
            file.chmod(_FOLDER if file.is_dir() else _FILE)
    except OSError as error:
        raise SettingError(
            f"TURNSTILE_DATA_DIR: {folder} cannot hold the server's data ({error.strerror}): name a folder of your own."
        ) from None


def open_private(file: Path) -> BinaryIO:
    """Open an empty file for writing that only its owner may read."""
    return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _FILE), "wb")


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner may read."""
    with open_private(file) as stream:
        stream.write(text.encode())
