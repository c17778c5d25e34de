"""A real worker whose MCP server floods it: the call is an error of its tool, others' turns go on, and memory stays bounded."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ports import lasting_port
from tests.support.processes import ROOT, Worker, offline_model
from tests.support.wait import PATIENCE_SECONDS, wait_until
from turnstile.producers.client import ChatClient
from turnstile.turns.settings import Settings

MOST_BYTES = 100 * 1_048_576
"""More memory than a worker had before the flood: many times what a session with a server may send."""


@pytest.fixture
def hostile() -> Iterator[str]:
    port = lasting_port()
    with subprocess.Popen([sys.executable, "-m", "tests.support.hostile_mcp", str(port)], cwd=ROOT) as process:
        try:
            wait_until(lambda: _listens(port), "the server listens")
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            process.kill()


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def memory(worker: Worker) -> int:
    return int(Path(f"/proc/{worker.pid}/statm").read_text().split()[1]) * 4_096


@pytest.mark.timeout(240)
def test_a_flood_ends_its_call_while_others_turns_go_on(redis_url: str, hostile: str, tmp_path: Path) -> None:
    chat = ChatClient(settings=Settings(redis_url=redis_url))
    with offline_model() as url, Worker(redis_url, tmp_path, OPENAI_BASE_URL=url, TURNSTILE_TOOLS=hostile) as worker:
        assert chat.ask("victim", "hi").result(PATIENCE_SECONDS)
        before = memory(worker)
        for flood in ("json", "line", "comments", "notifications"):
            turn = chat.ask("flooded", f"call {flood} {{}}")
            while not turn.status().state.ended:
                assert chat.ask("victim", "hi").result(PATIENCE_SECONDS)
                assert memory(worker) < before + MOST_BYTES
            assert "tool's server" in turn.result(PATIENCE_SECONDS)
