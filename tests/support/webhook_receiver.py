"""A server that webhooks are delivered to."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from types import TracebackType

from tests.support.receiver import Receiver


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request that came in; header names are in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes


class WebhookReceiver(Receiver):
    """Keeps what comes in, and answers with the statuses of `answers` in turn, then with 204; 0 holds a request for good.

    All wait while `open` is not set.
    """

    def __init__(self, *answers: int) -> None:
        super().__init__()
        self.deliveries: list[Delivery] = []
        self.open = threading.Event()
        self.open.set()
        self._answers = list(answers)
        self._ended = threading.Event()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self.open.set()
        super().__exit__(kind, error, trace)

    @property
    def url(self) -> str:
        """The URL to deliver to."""
        return f"http://127.0.0.1:{self.port}/hook"

    def take(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        """Keep a delivery, and answer it."""
        status = self._answers.pop(0) if self._answers else 204
        self.deliveries.append(Delivery(request.path, {k.lower(): v for k, v in request.headers.items()}, body))
        self.open.wait()
        if not status:
            self._ended.wait()
            return
        request.send_response(status)
        request.send_header("location", f"{self.url}/elsewhere")
        request.send_header("content-length", "0")
        request.end_headers()
