"""Names below `.silent`, whose DNS never answers, in a process that has this folder first in its PYTHONPATH.

Names below `.test` are this machine. `SILENT_NAMES` is a folder: it gets a file for each look-up of a silent name, and once it
has a file `answers`, they are this machine as well. What libuv looks up in C goes through two threads here, as it does there.
"""

import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import uvloop

_folder = Path(os.environ["SILENT_NAMES"])
_real = socket.getaddrinfo
_libuv = ThreadPoolExecutor(2)


def _getaddrinfo(host: Any, *args: Any, **how: Any) -> Any:
    name = host.decode() if isinstance(host, bytes) else host or ""
    if name.endswith(".silent"):
        (_folder / f"{name}-{time.monotonic_ns()}").touch()
        while not (_folder / "answers").exists():
            time.sleep(0.1)
    return _real("127.0.0.1" if name.endswith((".silent", ".test")) else host, *args, **how)


async def _in_libuv(loop: Any, host: Any, port: Any, **how: Any) -> Any:
    return await loop.run_in_executor(_libuv, lambda: _getaddrinfo(host, port, **how))


socket.getaddrinfo = _getaddrinfo
uvloop.Loop.getaddrinfo = _in_libuv  # type: ignore[assignment,method-assign]
