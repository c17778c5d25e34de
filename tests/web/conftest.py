"""One gateway with its worker and its model for the whole run, and a way for scripts in node to disturb them."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.gateways import Gateway
from tests.support.processes import Worker, offline_model
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.turns.api_keys import Limits, new_key

FOLDER = Path(__file__).parent
_NODE_SECONDS = 900
_GRAPHS = {"agent": "agent", "asks-first": "asks_first", "topic": "asks_topic"}
_CHAINS = json.dumps({name: f"tests.chains.agents:{graph}" for name, graph in _GRAPHS.items()})


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Collected only when asked for: what these tests need is more than `make test` sets up."""
    asked = any(Path(argument.split("::")[0]).resolve().is_relative_to(FOLDER) for argument in config.args)
    return None if asked else collection_path.is_relative_to(FOLDER) or None


def program(*names: str) -> str:
    """Return the path of the first of these programs that there is; the test fails when there is none."""
    found = next((path for name in names if (path := shutil.which(name))), None)
    assert found, f"{names[0]} is missing: install it (Debian: apt-get install nodejs npm chromium)"
    return found


def browser() -> str:
    """Return the path of a Chromium."""
    return program("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True, slots=True)
class Stack:
    """A gateway that takes keys, one that takes none, and the worker behind both."""

    gateway: Gateway
    guarded: Gateway
    worker: Worker
    key: str
    operator: str
    """The key of an operator."""
    folder: Path
    """Here lies the ledger of what the agents' tools have done."""


class Controls:
    """A small server through which a script in node disturbs the stack: POST /gateway/kill, /gateway/start, /worker/kill …"""

    def __init__(self, stack: Stack) -> None:
        actions: dict[str, Callable[[], object]] = {
            "/gateway/kill": stack.gateway.kill,
            "/gateway/start": stack.gateway.start,
            "/worker/kill": stack.worker.kill,
            "/worker/start": stack.worker.start,
        }

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                actions[self.path]()
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture(scope="session")
def stack(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Yield the stack, running."""
    folder = tmp_path_factory.mktemp("stack")
    key = new_key("tests", "acme", Limits(requests_per_minute=100_000))
    operator = new_key("operator", role="operator")
    entries = json.dumps({one.digest: one.entry for one in (key, operator)})
    env = {"TURNSTILE_SWEEP_SECONDS": "0.2", "TURNSTILE_RETRY_BASE_SECONDS": "0.2"}
    more = {"TURNSTILE_CHAINS": _CHAINS, "LEDGER": str(folder / "ledger")}
    with offline_model("--tokens-per-second", "60") as model:
        worker = Worker(server.url, folder, 20, OPENAI_BASE_URL=model, **env, **more)
        guarded = Gateway(server.url, folder, TURNSTILE_API_KEYS=entries, TURNSTILE_FLOWER_URL="/flower", **env)
        with worker, Gateway(server.url, folder, **env) as gateway, guarded:
            yield Stack(gateway, guarded, worker, key.text, operator.text, folder)


@pytest.fixture(scope="session")
def node(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., None]]:
    """Runs a file of node's tests against the stack; the test fails as they do, with their output."""
    controls = Controls(stack)
    thread = threading.Thread(target=controls.server.serve_forever, args=(0.05,))
    thread.start()
    pictures = Path(os.environ.get("SCREENSHOTS") or tmp_path_factory.mktemp("pictures"))
    env = {
        **os.environ,
        "BASE_URL": stack.gateway.url,
        "GUARDED_URL": stack.guarded.url,
        "API_KEY": stack.key,
        "OPERATOR_KEY": stack.operator,
        "CONTROL_URL": controls.url,
        "FOLDER": str(stack.folder),
        "SCREENSHOTS": str(pictures),
    }

    def run(name: str, **more: str) -> None:
        command = [program("node"), "--test", "--test-reporter=spec", str(FOLDER / name)]
        done = subprocess.run(command, env={**env, **more}, cwd=FOLDER, capture_output=True, text=True, timeout=_NODE_SECONDS)
        sys.stdout.write(done.stdout + done.stderr)
        assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"

    assert (FOLDER / "node_modules").is_dir(), "run `npm ci` in tests/web, or `make test-web`"
    try:
        yield run
    finally:
        controls.server.shutdown()
        thread.join()
        controls.server.server_close()
