"""The gateway and Flower behind each of the shipped proxies."""

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import openai
import pytest

from tests.site.conftest import SHIPPED, Proxy
from tests.support.flower import Flower
from tests.support.gateways import Gateway
from tests.support.processes import Worker, offline_model
from tests.support.wait import PATIENCE_SECONDS, wait_until
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.turns.api_keys import Limits, new_key
from turnstile.turns.settings import Settings
from turnstile.turns.text import dumps

LOGIN = ("me", "secret")


@dataclass(frozen=True, slots=True)
class Site:
    """The servers behind a proxy."""

    proxy: Proxy
    gateway: Gateway
    key: str

    def sdk(self) -> openai.OpenAI:
        """Return the SDK of a client outside."""
        return openai.OpenAI(base_url=f"{self.proxy.url}/v1", api_key=self.key, max_retries=0)

    def http(self) -> httpx.Client:
        """Return a plain client outside, with the key."""
        headers = {"authorization": f"Bearer {self.key}"}
        return httpx.Client(base_url=self.proxy.url, headers=headers, timeout=PATIENCE_SECONDS)


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def site(kind: str, server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp(kind)
    url = f"{server.url.rpartition('/')[0]}/{3_900 + len(kind)}"
    key = new_key("tests", "acme", Limits(), "", "tenant", 1)
    gateway = Gateway(url, folder, TURNSTILE_API_KEYS=dumps({key.digest: key.entry}))
    flower = Flower(url, folder, FLOWER_URL_PREFIX="flower", FLOWER_BASIC_AUTH=":".join(LOGIN))
    proxy = Proxy(kind, folder, gateway.port, flower.port)
    with offline_model() as model, Worker(url, folder, OPENAI_BASE_URL=model), gateway, flower, proxy:
        yield Site(proxy, gateway, key.text)


def test_a_stream_passes_as_it_comes(site: Site) -> None:
    with site.sdk() as sdk, sdk.responses.create(model="m", input="a b c d e f [[stall]]", stream=True) as stream:
        events = iter(stream)
        # The model never sends the rest, so nothing that waits for an end would come.
        assert next(event for event in events if event.type == "response.output_text.delta").delta
    with site.sdk() as sdk:
        pieces = sdk.chat.completions.create(model="m", messages=[{"role": "user", "content": "hello"}], stream=True)
        assert "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices) == "You said: hello"


def test_a_large_body_passes_and_a_larger_one_is_refused_by_the_gateway(site: Site) -> None:
    with site.http() as http:
        large = http.post("/v1/responses", json={"model": "m", "input": "x" * 3_000_000})
        assert (large.status_code, large.json()["error"]["code"]) == (400, "invalid_value"), large.text
        larger = http.post("/v1/responses", json={"model": "m", "input": "x" * (Settings().max_body_bytes + 1)})
        assert larger.status_code == 413
        assert "error" in larger.json()


def test_what_is_meant_for_the_inside_is_not_served_outside(site: Site) -> None:
    with site.http() as http:
        for path in ("/metrics", "/healthz", "/readyz", "/flower/metrics", "/flower/healthcheck"):
            assert http.get(path).status_code == 404, path
        assert http.get("/").status_code == 200
        assert http.get("/v1/models", headers={"authorization": "Bearer wrong"}).status_code == 401
    assert httpx.get(f"{site.gateway.url}/readyz").status_code == 200


def test_flower_is_whole_below_its_prefix(site: Site) -> None:
    with httpx.Client(base_url=site.proxy.url, timeout=PATIENCE_SECONDS) as http:
        for path in ("/flower/", "/flower/tasks", "/flower/api/workers"):
            assert http.get(path).status_code == 401, path
        http.auth = LOGIN
        pages = {path: http.get(path) for path in ("/flower/", "/flower/workers", "/flower/tasks", "/flower/broker")}
        assert {path: page.status_code for path, page in pages.items()} == dict.fromkeys(pages, 200)
        links = {link for page in pages.values() for link in re.findall(r'(?:href|src)="(/[^"#?]*)', page.text)}
        assert len(links) > 5
        assert {link: http.get(link).status_code for link in links if not link.endswith("logout")} == dict.fromkeys(
            (link for link in links if not link.endswith("logout")), 200
        )
        wait_until(lambda: http.get("/flower/workers?json=1").json()["data"], "Flower hears the worker")
        with site.sdk() as sdk:
            response = sdk.responses.create(model="m", input="hello", conversation=sdk.conversations.create().id)
        wait_until(lambda: http.get(f"/flower/task/{response.id}").status_code == 200, "Flower shows the turn")
        assert "acme/" in http.get(f"/flower/task/{response.id}").text


def test_a_gateway_without_keys_is_not_opened_to_the_world(kind: str, redis_url: str, tmp_path: Path) -> None:
    with Gateway(redis_url, tmp_path) as gateway, Proxy(kind, tmp_path, gateway.port, 9) as proxy:
        for headers in ({}, {"host": "localhost"}, {"host": "chat.example.com"}, {"x-forwarded-for": "127.0.0.1"}):
            for path in ("/", "/v1/models"):
                assert httpx.get(f"{proxy.url}{path}", headers=headers).status_code == 403, (headers, path)
        assert httpx.get(f"{gateway.url}/v1/models").status_code == 200


class Upstream(ThreadingHTTPServer):
    """A server in the gateway's place, which notes the headers of the last request."""

    def __init__(self) -> None:
        seen = self.seen = []  # type: list[tuple[str, str]]

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                seen[:] = [(name.lower(), value) for name, value in self.headers.items()]
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        super().__init__(("127.0.0.1", 0), Handler)


def test_the_address_of_a_client_is_its_own_and_not_what_it_says(kind: str, tmp_path: Path) -> None:
    with Upstream() as upstream:
        threading.Thread(target=upstream.serve_forever, daemon=True).start()
        with Proxy(kind, tmp_path, upstream.server_port, 9) as proxy:
            forged = {"x-forwarded-for": "203.0.113.9", "forwarded": "for=203.0.113.9", "host": "chat.example.com"}
            assert httpx.get(f"{proxy.url}/v1/models", headers=forged).status_code == 204
        upstream.shutdown()
    told = dict(upstream.seen)
    assert told["x-forwarded-for"] == "127.0.0.1"
    assert told["x-forwarded-proto"] == "http"
    assert told["host"] == "chat.example.com"
    assert "203.0.113.9" not in str(upstream.seen)


def test_no_proxy_gives_a_turn_up_before_its_deadline() -> None:
    for name in ("nginx.conf", "Caddyfile"):
        seconds = [
            int(text) for text in re.findall(r"(?:read_timeout|response_header_timeout) (\d+)s", (SHIPPED / name).read_text())
        ]
        assert seconds, name
        assert min(seconds) > Settings().turn_seconds, name
