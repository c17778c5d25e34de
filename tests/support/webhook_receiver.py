"""A server that webhooks are delivered to."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request that came in; header names are in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes


class WebhookReceiver:
    """Keeps what comes in, and answers with the statuses of `answers` in turn, then with 204; 0 holds a request for good."""

    def __init__(self, *answers: int) -> None:
        self.deliveries: list[Delivery] = []
        self._answers = list(answers)
        self._ended = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver._take(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def port(self) -> int:
        """The port, on loopback."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """The URL to deliver to."""
        return f"http://127.0.0.1:{self.port}/hook"

    def _take(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["content-length"]))
        status = self._answers.pop(0) if self._answers else 204
        self.deliveries.append(Delivery(request.path, {k.lower(): v for k, v in request.headers.items()}, body))
        if not status:
            self._ended.wait()
            return
        request.send_response(status)
        request.send_header("location", f"{self.url}/elsewhere")
        request.send_header("content-length", "0")
        request.end_headers()
