"""Programs of this installation, run to their end."""

import subprocess
import sys
from pathlib import Path

from tests.support.processes import ROOT, environment
from tests.support.wait import PATIENCE_SECONDS


def run_as(url: str, *command: str) -> tuple[int, str]:
    """Run a program of this installation with a Redis URL; return its exit status and its output."""
    program = [str(Path(sys.executable).with_name(command[0])), *command[1:]]
    env = environment({"REDIS_URL": url})
    done = subprocess.run(program, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)
    return done.returncode, done.stdout + done.stderr
