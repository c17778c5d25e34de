"""A real gateway process, and clients for it."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import openai
from openai.types.responses import Response

from tests.support.ports import lasting_port
from tests.support.processes import Process, environment
from tests.support.wait import PATIENCE_SECONDS, wait_until
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore

APP = "turnstile.producers.gateway:app"
HASTY_APP = "tests.support.hasty_gateway:app"


class Gateway(Process):
    """One `uvicorn turnstile.producers.gateway:app` process, always on the same port.

    `files` is the limit of open files, by `ulimit -n`.
    """

    _count = 0

    def __init__(
        self,
        redis_url: str,
        folder: Path,
        port: int = 0,
        /,
        *,
        app: str = APP,
        files: str = "",
        options: Sequence[str] = (),
        **env: str,
    ) -> None:
        Gateway._count += 1
        self.port = port or lasting_port()
        self._clients: list[openai.OpenAI] = []
        self.url = f"http://127.0.0.1:{self.port}"
        fixed = ("--timeout-graceful-shutdown", "1", "--no-access-log")
        command = [sys.executable, "-m", "uvicorn", app, "--port", str(self.port), *options, *fixed]
        if files:
            command = ["/bin/sh", "-c", f'ulimit -n {files} && exec "$0" "$@"', *command]
        log = folder / f"gateway-{Gateway._count}.log"
        super().__init__(log, command, environment({"REDIS_URL": redis_url, **env}))

    def readiness(self) -> Callable[[], bool]:
        """Return the check whether the gateway answers."""
        return self._answers

    def _answers(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/healthz").status_code == 200
        return False

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # One that is left open fails whichever test runs when it is collected.
        for client in self._clients:
            client.close()
        super().__exit__(kind, error, trace)

    def sdk(self, **options: Any) -> openai.OpenAI:
        """OpenAI's own SDK, as anyone would use it, but for its retries."""
        client = openai.OpenAI(base_url=f"{self.url}/v1", **{"api_key": "none", "max_retries": 0, **options})
        self._clients.append(client)
        return client

    def http(self, **options: Any) -> httpx.Client:
        """Return a plain client."""
        return httpx.Client(base_url=self.url, timeout=PATIENCE_SECONDS, **options)


def read_events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Yield the server-sent events in an answer's lines."""
    for line in lines:
        if line.startswith("data: ") and line != "data: [DONE]":
            yield json.loads(line.removeprefix("data: "))


def ended(sdk: openai.OpenAI, id: str) -> Response:
    """Return the response, once it has ended."""

    def look() -> Response | None:
        response = sdk.responses.retrieve(id)
        return None if response.status in ("queued", "in_progress") else response

    response = wait_until(look, "the response has ended")
    assert response
    return response


def running(store: TurnStore, id: str) -> None:
    """Wait until a worker has it."""
    wait_until(lambda: store.status(id).state is State.RUNNING, "the turn runs")


def texts_of(items: Iterable[Any]) -> list[str]:
    """Return the texts of items."""
    return [item.content[0].text for item in items]
