"""Processes that the clients talk to: a gateway with keys, a worker, the offline model, and an embedded server."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.gateways import Gateway
from tests.support.processes import Worker, offline_model
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.turns.api_keys import new_key


@contextmanager
def stack(folder: Path) -> Iterator[tuple[str, str]]:
    """Run everything; yield the gateway's base URL and a key for it."""
    key = new_key("clients", "clients")
    keys = folder / "keys.json"
    keys.touch(mode=0o600)
    keys.write_text(json.dumps({key.digest: key.entry}))
    with EmbeddedServer(folder / "server", append_only=False) as server, offline_model("--tokens-per-second", "15") as model:
        worker = Worker(server.url, folder, OPENAI_BASE_URL=model)
        with worker, Gateway(server.url, folder, TURNSTILE_API_KEYS_FILE=str(keys)) as gateway:
            yield f"{gateway.url}/v1", key.text
