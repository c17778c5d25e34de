"""The validators, in an environment of their own, and kubectl for its kustomize."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.processes import ROOT

FOLDER = Path(__file__).parent
TOOLS = ROOT / ".venv-manifests" / "bin"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Collected only when asked for: what these tests need is more than `make test` sets up."""
    asked = any(Path(argument.split("::")[0]).resolve().is_relative_to(FOLDER) for argument in config.args)
    return None if asked else collection_path.is_relative_to(FOLDER) or None


def run(*command: str | Path) -> tuple[int, str]:
    """Run a program; return its exit status and its output."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout + done.stderr


def kustomized(folder: Path) -> str:
    """Return what kustomize makes of a folder."""
    program = shutil.which("kubectl")
    assert program, "kubectl is missing: install it (https://kubernetes.io/docs/tasks/tools/)"
    env = {**os.environ, "KUBECONFIG": os.devnull}
    done = subprocess.run(
        [program, "kustomize", str(folder)], capture_output=True, text=True, check=False, env=env, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
