"""Version 0.1.0 as it was shipped: its wheel, unpacked, with the libraries of now."""

import os
import sys
import zipfile
from pathlib import Path

from tests.support.processes import Worker, environment

WHEEL = Path(__file__).with_name("turnstile-0.1.0-py3-none-any.whl")


def unpack(folder: Path) -> Path:
    """Unpack the wheel, which is all that installing it would do, and return where."""
    where = folder / "0.1.0"
    with zipfile.ZipFile(WHEEL) as wheel:
        wheel.extractall(where)
    return where


def old_environment(where: Path, **extra: str) -> dict[str, str]:
    """Return variables for a process of version 0.1.0. Its packages, named as folders of this checkout, go first."""
    env = environment(extra)
    return {**env, "PYTHONPATH": os.pathsep.join((str(where), env["PYTHONPATH"])), "PYTHONSAFEPATH": "1"}


class OldWorker(Worker):
    """One worker of version 0.1.0, started by its Procfile's command."""

    def __init__(self, where: Path, redis_url: str, folder: Path, concurrency: int = 20, **env: str) -> None:
        super().__init__(redis_url, folder, concurrency)
        self.env = old_environment(where, REDIS_URL=redis_url, **env)
        options = ["--pool=threads", "--without-mingle", "--without-gossip", "--loglevel=INFO", "-c", str(concurrency)]
        self.command = [sys.executable, "-m", "celery", "-A", "workers.app", "worker", *options, "-n", f"{self.log.stem}@%h"]
