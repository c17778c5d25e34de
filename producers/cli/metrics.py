"""`turnstile metrics`: metrics printed once, or served for Prometheus."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from turnstile.producers.cli.terminal import Terminal
from turnstile.producers.metrics.exposition import CONTENT_TYPE
from turnstile.producers.metrics.reading import metrics
from turnstile.turns.errors import MissingRight, QueueUnreachable, SettingError
from turnstile.turns.settings import Settings

_SECONDS = 10.0


def show(settings: Settings) -> None:
    """Print all metrics. Raises QueueUnreachable."""
    text = metrics(settings).get().decode()
    if "\nturnstile_redis_up 0.0\n" in text:
        raise QueueUnreachable("Redis does not answer: check REDIS_URL, and that it runs.")
    Terminal().write(text)


def serve(settings: Settings, address: str, port: int) -> None:
    """Answer `GET /metrics` until Ctrl-C. Raises SettingError if the address cannot be used."""
    reading = metrics(settings)

    class Handler(_Handler):
        read = staticmethod(reading.get)

    try:
        server = ThreadingHTTPServer((address, port), Handler)
    except OSError as error:
        raise SettingError(f"--serve: {address}:{port} cannot be used ({error.strerror}); choose another port.") from None
    with server:
        Terminal().notice(f"metrics on http://{address}:{server.server_port}/metrics")
        server.serve_forever()


class _Handler(BaseHTTPRequestHandler):
    timeout = _SECONDS
    server_version, sys_version = "turnstile", ""

    @staticmethod
    def read() -> bytes:
        """Return all metrics."""
        raise NotImplementedError

    def do_GET(self) -> None:
        """Answer a scrape."""
        if self.path.partition("?")[0] != "/metrics":
            return self._answer(404, b"Metrics are at /metrics.\n")
        try:
            return self._answer(200, self.read(), CONTENT_TYPE)
        except MissingRight as error:
            return self._answer(503, f"{error}\n".encode())

    def _answer(self, status: int, text: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Say nothing of a scrape."""
