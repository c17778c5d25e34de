"""A real Flower."""

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from tests.support.ports import lasting_port
from tests.support.processes import Process, environment
from tests.support.wait import wait_until


class Flower(Process):
    """One `celery -A turnstile flower` process, always on the same port."""

    _count = 0

    def __init__(self, redis_url: str, folder: Path, **env: str) -> None:
        Flower._count += 1
        self.port = lasting_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self._prefix = f"/{env['FLOWER_URL_PREFIX']}" if "FLOWER_URL_PREFIX" in env else ""
        command = [sys.executable, "-m", "celery", "-A", "turnstile", "flower", f"--port={self.port}"]
        env = environment({"REDIS_URL": redis_url, "FLOWER_UNAUTHENTICATED_API": "true", **env})
        super().__init__(folder / f"flower-{Flower._count}.log", command, env)

    def readiness(self) -> Callable[[], bool]:
        """Return the check whether Flower answers."""
        return lambda: self.get("/healthcheck") == "OK"

    def get(self, path: str) -> str:
        """Return a page, or nothing while there is none."""
        url = f"{self.base}{self._prefix}{path}"
        with suppress(URLError, HTTPError, ConnectionError), urlopen(url, timeout=10) as reply:
            return str(reply.read().decode())
        return ""

    def hear_workers(self) -> None:
        """Wait until Flower has heard a worker: what happens before is told to nobody."""
        wait_until(lambda: json.loads(self.get("/workers?json=1") or "{}").get("data"), "Flower hears a worker")

    def task(self, turn: str) -> dict[str, Any]:
        """Return the API's facts of a task; empty while it is not known."""
        return dict(json.loads(self.get(f"/api/task/info/{turn}") or "{}"))
