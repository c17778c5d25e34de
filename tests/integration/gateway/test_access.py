"""Access to the gateway: keys, tenants, and limits of requests."""

import itertools
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.support.gateways import Gateway
from tests.support.processes import ROOT, Worker, environment, offline_model
from tests.support.wait import PATIENCE_SECONDS, wait_until
from tests.support.webhook_receiver import WebhookReceiver
from turnstile.turns.api_keys import Limits, NewKey, new_key, new_secret
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore

Open = Callable[..., Gateway]


def _entries(*keys: NewKey) -> str:
    return json.dumps({key.digest: key.entry for key in keys})


def _as(gateway: Gateway, key: NewKey | str) -> openai.OpenAI:
    return gateway.sdk(api_key=key if isinstance(key, str) else key.text)


@pytest.fixture
def gateways(redis_url: str, tmp_path: Path) -> Iterator[Open]:
    """Opens gateways with some settings."""
    with ExitStack() as stack:
        yield lambda **env: stack.enter_context(Gateway(redis_url, tmp_path, **env))


@pytest.fixture
def acme() -> NewKey:
    return new_key("a key of acme's", "acme")


@pytest.fixture
def other() -> NewKey:
    return new_key("a key of other's", "other")


@pytest.fixture
def gateway(gateways: Open, acme: NewKey, other: NewKey) -> Gateway:
    return gateways(TURNSTILE_API_KEYS=_entries(acme, other))


def _refusal(answer: httpx.Response) -> Any:
    assert answer.headers["x-request-id"].startswith("req_")
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error["code"]


def test_without_a_good_key_nobody_comes_in(gateway: Gateway) -> None:
    headers = [b"", b"Bearer", b"Bearer wrong", b"Basic d3Jvbmc6", b"Bearer \xe9"]
    paths = ["/v1/models", "/v1/responses/resp_1", "/v1/nothing", "/v1"]
    with gateway.http() as http:
        for header, path in itertools.product(headers, paths):
            answer = http.get(path, headers={b"authorization": header} if header else None)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert _refusal(answer) == "invalid_api_key"


def test_what_holds_no_content_needs_no_key(gateway: Gateway) -> None:
    with gateway.http() as http:
        for path in ("/", "/static/main.js", "/healthz", "/readyz", "/openapi.json"):
            assert http.get(path).status_code == 200, path


def test_keys_are_not_logged(gateway: Gateway, acme: NewKey) -> None:
    _as(gateway, acme).models.list()
    with pytest.raises(openai.AuthenticationError):
        _as(gateway, "tsk_something_wrong").models.list()
    gateway.stop()
    log = gateway.log.read_text()
    assert acme.text not in log
    assert acme.digest not in log
    assert "tsk_" not in log
    gateway.start()


def test_one_tenants_things_do_not_exist_for_another(gateway: Gateway, acme: NewKey, other: NewKey) -> None:
    mine, theirs = _as(gateway, acme), _as(gateway, other)
    conversation = mine.conversations.create(items=[{"type": "message", "role": "user", "content": "A secret"}])
    item = mine.conversations.items.list(conversation.id).data[0]
    response = mine.responses.create(input="Hi", conversation=conversation.id, background=True)
    assert item.id
    for attempt in (
        lambda: theirs.conversations.retrieve(conversation.id),
        lambda: theirs.conversations.items.list(conversation.id),
        lambda: theirs.conversations.items.retrieve(item.id or "", conversation_id=conversation.id),
        lambda: theirs.conversations.delete(conversation.id),
        lambda: theirs.conversations.update(conversation.id, metadata={}),
        lambda: theirs.conversations.items.create(conversation.id, items=[{"type": "message", "role": "user", "content": "?"}]),
        lambda: theirs.conversations.retrieve(f"acme/{conversation.id}"),
        lambda: theirs.responses.retrieve(response.id),
        lambda: theirs.responses.retrieve(response.id, stream=True),
        lambda: theirs.responses.cancel(response.id),
        lambda: theirs.responses.delete(response.id),
        lambda: theirs.responses.input_items.list(response.id),
        lambda: theirs.responses.create(input="And?", previous_response_id=response.id),
    ):
        with pytest.raises(openai.APIStatusError) as refused:
            attempt()
        assert refused.value.status_code == 404, refused.value
        assert "secret" not in str(refused.value)
        assert "other/" not in str(refused.value)
    assert mine.responses.retrieve(response.id).status == "queued"


def test_the_same_names_are_different_things_for_different_tenants(gateway: Gateway, acme: NewKey, other: NewKey) -> None:
    mine, theirs = _as(gateway, acme), _as(gateway, other)
    header = {"idempotency-key": "one"}
    first = mine.responses.create(input="Mine", conversation="shared", background=True, extra_headers=header)
    second = theirs.responses.create(input="Theirs", conversation="shared", background=True, extra_headers=header)
    assert first.id != second.id
    assert (second.metadata or {})["turnstile_position"] == "0"
    assert mine.responses.create(input="Mine", conversation="shared", background=True, extra_headers=header).id == first.id


def test_the_default_tenant_has_the_sessions_of_the_command_line(gateways: Open, settings: Settings) -> None:
    key = new_key("ours")
    sdk = _as(gateways(TURNSTILE_API_KEYS=_entries(key)), key)
    response = sdk.responses.create(input="Hi", conversation="foo", background=True)
    assert TurnStore(settings).status(response.id).session == "foo"


def test_requests_are_counted_over_all_gateways(gateways: Open) -> None:
    key = new_key("slow", "acme", Limits(requests_per_minute=3))
    one, two = (gateways(TURNSTILE_API_KEYS=_entries(key)) for _ in range(2))
    with one.http(headers={"authorization": f"Bearer {key.text}"}) as http:
        answers = [http.get(f"{url}/v1/models") for url in (one.url, two.url, one.url)]
        assert [answer.status_code for answer in answers] == [200] * 3
        assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["2", "1", "0"]
        refused = http.get(f"{two.url}/v1/models")
        assert refused.status_code == 429
        assert _refusal(refused) == "rate_limit_exceeded"
        assert 0 < int(refused.headers["retry-after"]) <= 20
        assert 0 < int(refused.headers["retry-after-ms"]) <= 20_000
        assert "connection" not in refused.headers, "a client that asks again needs no new connection"
        assert http.get(f"{one.url}/").status_code == 200


def test_the_sdk_waits_and_comes_back(gateways: Open) -> None:
    key = new_key("quick", "acme", Limits(requests_per_minute=120))
    gateway = gateways(TURNSTILE_API_KEYS=_entries(key))
    patient = gateway.sdk(api_key=key.text, max_retries=5)
    for _ in range(125):
        patient.models.list()


def test_bodies_have_their_keys_limit(gateways: Open, other: NewKey) -> None:
    small = new_key("small", "acme", Limits(max_body_bytes=200))
    gateway = gateways(TURNSTILE_API_KEYS=_entries(small, other))
    body = {"input": "x" * 300, "background": True}
    with pytest.raises(openai.APIStatusError) as refused:
        _as(gateway, small).responses.create(**body)  # type: ignore[call-overload]  # written once for both
    assert refused.value.status_code == 413
    assert _as(gateway, other).responses.create(**body).id  # type: ignore[call-overload]  # as above
    assert _as(gateway, small).responses.create(input="x", background=True).id


def test_the_keys_file_is_read_again_when_it_changes(gateways: Open, tmp_path: Path, acme: NewKey, other: NewKey) -> None:
    file = tmp_path / "keys.json"
    file.write_text(_entries(acme))
    gateway = gateways(TURNSTILE_API_KEYS_FILE=str(file))

    def admitted(key: NewKey) -> bool:
        return httpx.get(f"{gateway.url}/v1/models", headers={"authorization": f"Bearer {key.text}"}).status_code == 200

    assert (admitted(acme), admitted(other)) == (True, False)
    file.write_text(_entries(other))
    wait_until(lambda: admitted(other), "the new key is known")
    assert not admitted(acme)
    file.write_text("{ half a fi")
    wait_until(lambda: httpx.get(f"{gateway.url}/readyz").json().get("error"), "a broken file makes it unready")
    wait_until(lambda: "still accepted" in gateway.log.read_text(), "the fault is logged")
    assert admitted(other)
    file.unlink()
    wait_until(lambda: not admitted(other), "a file that is gone has no keys")
    log = gateway.log.read_text()
    assert "is gone" in log
    assert log.count("no longer accepted") == 2


@pytest.mark.parametrize("path", ["responses", "chat/completions"])
@pytest.mark.parametrize("streams", [True, False])
def test_open_requests_end_with_their_key(
    gateways: Open, tmp_path: Path, acme: NewKey, other: NewKey, settings: Settings, path: str, streams: bool
) -> None:
    file = tmp_path / "keys.json"
    file.write_text(_entries(acme, other))
    gateway = gateways(TURNSTILE_API_KEYS_FILE=str(file))
    store = TurnStore(settings)

    def ask(key: NewKey) -> httpx.Response:
        body = {"input": "nobody is at work", "messages": [{"role": "user", "content": "nobody is at work"}], "stream": streams}
        body.pop("messages" if path == "responses" else "input")
        headers = {"authorization": f"Bearer {key.text}"}
        return httpx.post(f"{gateway.url}/v1/{path}", json=body, headers=headers, timeout=PATIENCE_SECONDS)

    with ThreadPoolExecutor() as pool:
        asked = [pool.submit(ask, key) for key in (acme, other)]
        wait_until(lambda: store.stats().get("open") == 2, "both wait")
        file.write_text(_entries(other))
        if streams:
            assert isinstance(asked[0].exception(PATIENCE_SECONDS), httpx.RemoteProtocolError)
        else:
            refused = asked[0].result(PATIENCE_SECONDS)
            assert (refused.status_code, _refusal(refused)) == (401, "invalid_api_key")
        wait_until(lambda: store.stats().get("open") == 1, "the removed key's turn is cancelled")
        assert not asked[1].done()
        file.write_text(_entries(acme))


def test_an_empty_file_lets_nobody_in(gateways: Open, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text("{}")
    gateway = gateways(TURNSTILE_API_KEYS_FILE=str(file))
    assert httpx.get(f"{gateway.url}/v1/models").status_code == 401


def test_without_keys_it_says_so_and_answers_its_own_machine_only(gateways: Open) -> None:
    gateway = gateways()
    assert "only answers requests from this machine" in gateway.log.read_text()
    with gateway.http() as http:
        assert http.get("/v1/models").status_code == 200
        assert http.get("/v1/models", headers={"origin": gateway.url}).status_code == 200
        for headers in (
            {"x-forwarded-for": "203.0.113.9"},
            {"x-forwarded-for": "127.0.0.1"},
            {"x-forwarded-proto": "https"},
            {"forwarded": "for=127.0.0.1"},
            {"x-real-ip": "127.0.0.1"},
            {"via": "1.1 proxy"},
            {"host": "rebound.example.com"},
            {"host": f"192.0.2.1:{gateway.port}"},
            {"origin": "https://elsewhere.example.com"},
            {"origin": "null"},
            {"host": "[::1"},
        ):
            answer = http.get("/v1/models", headers=headers)
            assert answer.status_code == 403, headers
            assert _refusal(answer) == "loopback_only"
            assert http.get("/", headers=headers).status_code == 403
        assert http.get("/healthz", headers={"host": "10.0.0.1"}).status_code == 200


def test_a_proxy_that_only_passes_requests_on_is_not_this_machine(gateways: Open) -> None:
    gateway = gateways()
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(f"GET /v1/models HTTP/1.0\r\nhost: 127.0.0.1:{gateway.port}\r\n\r\n".encode())
        assert connection.recv(65_536).startswith(b"HTTP/1.1 403")


def test_a_proxy_that_authenticates_may_be_trusted(gateways: Open) -> None:
    gateway = gateways(TURNSTILE_TRUSTED_HOSTS="chat.example.com")
    assert "TURNSTILE_TRUSTED_HOSTS" in gateway.log.read_text()
    trusted = {"host": "chat.example.com", "x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https"}
    with gateway.http() as http:
        assert http.get("/v1/models", headers=trusted).status_code == 200
        assert http.get("/v1/models", headers={**trusted, "origin": "https://chat.example.com"}).status_code == 200
        assert http.get("/v1/models", headers={**trusted, "origin": "https://evil.example.com"}).status_code == 403
        assert http.get("/v1/models", headers={**trusted, "host": "other.example.com"}).status_code == 403
        assert http.get("/v1/models").status_code == 200


@pytest.mark.parametrize("path", ["/v1/models", "/v1/nothing", "/healthz", "/openapi.json", "/", "/static/main.js", "/nothing"])
def test_answers_are_kept_by_nobody_and_are_what_they_say(gateway: Gateway, acme: NewKey, path: str) -> None:
    for headers in ({}, {"authorization": f"Bearer {acme.text}"}):
        answer = httpx.get(f"{gateway.url}{path}", headers=headers)
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
        ours = path in ("/", "/openapi.json") or path.startswith("/static/")
        assert answer.headers.get_list("cache-control") == ["no-cache" if ours else "no-store"]


@pytest.mark.parametrize("keyed", [True, False])
def test_pages_of_other_origins_are_a_setting(gateways: Open, acme: NewKey, keyed: bool) -> None:
    entries = {"TURNSTILE_API_KEYS": _entries(acme)} if keyed else {}
    gateway = gateways(TURNSTILE_CORS_ORIGINS="https://app.example.com, http://localhost:3000", **entries)
    ask = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,x-stainless-os"}
    key = {"authorization": f"Bearer {acme.text}"}
    with gateway.http() as http:
        for origin in ("https://app.example.com", "http://localhost:3000"):
            asked = http.options("/v1/responses", headers={"origin": origin, **ask})
            assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, origin)
            assert "x-stainless-os" in asked.headers["access-control-allow-headers"]
            answer = http.get("/v1/models", headers={"origin": origin, **key})
            assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, origin)
        foreign = {"origin": "https://evil.example.com"}
        assert http.options("/v1/responses", headers={**foreign, **ask}).status_code == 400
        assert "access-control-allow-origin" not in http.get("/v1/models", headers={**foreign, **key}).headers


def test_without_the_setting_there_are_none(gateway: Gateway, acme: NewKey) -> None:
    headers = {"origin": "https://app.example.com", "authorization": f"Bearer {acme.text}"}
    assert "access-control-allow-origin" not in httpx.get(f"{gateway.url}/v1/models", headers=headers).headers


_REFUSED = (
    "http://127.0.0.1/hook",
    "https://evil.example.com/",
    "https://hooks.example.com.evil.example/",
    "ftp://hooks.example.com/",
    "https://hooks.example.com:8443/",
    "https://user@hooks.example.com/",
    "https://evilhooks.example.org/",
    "hooks.example.com",
    "https://[::1",
    "https://hooks.example.org/",
    "https://hooks.example.com:99999/",
)


@pytest.mark.parametrize("program", [["uvicorn", "turnstile.producers.gateway:app"], ["celery", "-A", "turnstile", "worker"]])
def test_keys_that_cannot_be_read_are_one_line_at_the_start(program: list[str], redis_url: str) -> None:
    env = environment({"REDIS_URL": redis_url, "TURNSTILE_API_KEYS": "{"})
    command = [sys.executable, "-m", *program]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == 2
    assert "turnstile: TURNSTILE_API_KEYS is not valid" in done.stderr
    assert "Traceback" not in done.stderr


class TestWebhooks:
    """Limits of requests, and those of their keys."""

    @pytest.fixture
    def model(self) -> Iterator[str]:
        with offline_model() as url:
            yield url

    def test_a_key_is_told_of_its_background_responses(
        self, gateways: Open, redis_url: str, tmp_path: Path, model: str
    ) -> None:
        with WebhookReceiver() as receiver:
            key = new_key("webhook", "acme", webhook_url=receiver.url)
            env = {"TURNSTILE_API_KEYS": _entries(key), "TURNSTILE_WEBHOOK_NETWORKS": "127.0.0.0/8", "OPENAI_BASE_URL": model}
            sdk = gateways(**env).sdk(api_key=key.text, webhook_secret=key.entry["webhook"]["secret"])
            with Worker(redis_url, tmp_path, 20, **env):
                sdk.responses.create(input="In the foreground")
                response = sdk.responses.create(input="In the background", background=True)
                wait_until(lambda: receiver.deliveries, "a delivery came in")
                event = sdk.webhooks.unwrap(receiver.deliveries[0].body, receiver.deliveries[0].headers)
            assert event.type == "response.completed"
            assert event.data.id == response.id
            assert len(receiver.deliveries) == 1

    def test_a_request_names_its_own_where_that_is_allowed(
        self, gateways: Open, redis_url: str, tmp_path: Path, model: str
    ) -> None:
        secret = new_secret()
        with WebhookReceiver() as receiver:
            env = {
                "TURNSTILE_WEBHOOK_SECRET": secret,
                "TURNSTILE_WEBHOOK_NETWORKS": "127.0.0.0/8",
                "TURNSTILE_WEBHOOK_ALLOW": f"hooks.example.com, localhost:{receiver.port}",
                "OPENAI_BASE_URL": model,
            }
            sdk = gateways(**env).sdk(webhook_secret=secret)
            with Worker(redis_url, tmp_path, 20, **env):
                url = receiver.url.replace("127.0.0.1", "localhost")
                response = sdk.responses.create(input="Hi", metadata={"webhook_url": url})
                wait_until(lambda: receiver.deliveries, "a delivery came in")
            event = sdk.webhooks.unwrap(receiver.deliveries[0].body, receiver.deliveries[0].headers)
            assert event.type == "response.completed"
            assert event.data.id == response.id

    def test_others_are_refused(self, gateways: Open) -> None:
        env = {"TURNSTILE_WEBHOOK_SECRET": new_secret(), "TURNSTILE_WEBHOOK_ALLOW": "hooks.example.com,*.hooks.example.org"}
        sdk = gateways(**env).sdk()
        for url in _REFUSED:
            with pytest.raises(openai.BadRequestError) as refused:
                sdk.responses.create(input="Hi", background=True, metadata={"webhook_url": url})
            assert refused.value.param == "metadata.webhook_url", url
            assert refused.value.code == "webhook_not_allowed", url
        allowed = {"webhook_url": "https://a.hooks.example.org/x"}
        assert sdk.responses.create(input="Hi", background=True, metadata=allowed).metadata == {
            **allowed,
            "turnstile_position": "0",
        }

    def test_nothing_is_sent_unsigned(self, gateways: Open) -> None:
        with pytest.raises(openai.BadRequestError) as refused:
            gateways(TURNSTILE_WEBHOOK_ALLOW="hooks.example.com").sdk().responses.create(
                input="Hi", background=True, metadata={"webhook_url": "https://hooks.example.com/"}
            )
        assert refused.value.code == "webhook_unsigned"
