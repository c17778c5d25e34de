"""The one pool that turns run in, and one line for every other."""

import subprocess
import sys

import pytest

from tests.support.processes import ROOT, environment


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["-P", "prefork"], "-P threads"),
        (["--pool=prefork"], "-P threads"),
        (["-P", "solo"], "-P threads"),
        (["--autoscale", "10,2"], "--autoscale"),
    ],
    ids=" ".join,
)
def test_a_pool_that_turns_cannot_run_in_ends_the_worker_with_one_line(arguments: list[str], advice: str) -> None:
    command = [sys.executable, "-m", "celery", "-A", "turnstile", "worker", *arguments]
    ended = subprocess.run(
        command, cwd=ROOT, env=environment({"REDIS_URL": "redis://127.0.0.1:1"}), capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 2
    # Before it, root is warned by Celery.
    assert ended.stderr.splitlines()[-1].startswith("turnstile: ")
    assert advice in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr
