"""Whatever the OpenAPI document allows, and much that it does not, the gateway does not fail over it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.gateways import Gateway
from tests.support.processes import Worker, environment, offline_model

_SECONDS = 900
_OPTIONS = [
    *("--checks", "not_a_server_error"),
    *("--phases", "examples,coverage,fuzzing,stateful"),
    *("--max-examples", "25"),
    *("--request-timeout", "60"),
    *("--generation-database", "none"),
    *("--suppress-health-check", "all"),
    *("--warnings", "off"),
    *("--seed", "4"),
    "--continue-on-failure",
    "--no-color",
]


@pytest.mark.timeout(_SECONDS)
def test_no_request_is_a_server_error(redis_url: str, tmp_path: Path) -> None:
    with (
        offline_model() as model,
        Worker(redis_url, tmp_path, 20, OPENAI_BASE_URL=model),
        Gateway(redis_url, tmp_path, OPENAI_BASE_URL=model) as gateway,
    ):
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"{gateway.url}/openapi.json", *_OPTIONS]
        done = subprocess.run(command, cwd=tmp_path, env=environment({}), capture_output=True, text=True, timeout=_SECONDS)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "Tested" in done.stdout or "passed" in done.stdout, done.stdout
