"""The spellings of an address, with real connections: TLS, certificates on both sides, and Unix sockets with a database."""

import asyncio
import gc
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff

from tests.chaos.proxy import ProxyThread
from tests.support.certificates import Certificates
from tests.support.flower import Flower
from tests.support.gateways import Gateway
from tests.support.processes import ROOT, Worker, environment
from tests.support.wait import PATIENCE_SECONDS, wait_until
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.producers.client import AsyncChatClient, ChatClient
from turnstile.turns.errors import LoginRefused, QueueUnreachable, SettingError
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore

PASSWORD = "p:@/# [%?&"
QUOTED = "p%3A%40%2F%23%20%5B%25%3F%26"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def secured(certificates: Certificates, redis_url: str, server: EmbeddedServer) -> Iterator[Callable[..., str]]:
    """Puts TLS in front of the test's database; the URL, without a query."""
    with ProxyThread() as proxies:

        def secure(*, asks_for_certificates: bool = False) -> str:
            context = certificates.server(asks_for_certificates=asks_for_certificates)
            return f"rediss://localhost:{proxies.open(server.port, context).port}/{redis_url.rpartition('/')[2]}"

        yield secure


def _talk(url: str, folder: Path) -> None:
    """One turn from a blocking client, one from an asyncio client, and both in the history."""
    with Worker(url, folder):
        assert ChatClient(url).ask("foo", "hello").result(timeout=PATIENCE_SECONDS) == "You said: hello"

        async def ask() -> str:
            async with AsyncChatClient(url) as client:
                return await (await client.ask("foo", "and again")).result(timeout=PATIENCE_SECONDS)

        assert asyncio.run(ask()) == "You said: and again"
    assert len(ChatClient(url).history("foo")) == 4


def test_a_turn_over_tls(secured: Callable[..., str], certificates: Certificates, tmp_path: Path) -> None:
    _talk(f"{secured()}?ssl_ca_certs={certificates.authority}", tmp_path)


def test_a_turn_with_certificates_on_both_sides(
    secured: Callable[..., str], certificates: Certificates, tmp_path: Path
) -> None:
    url = secured(asks_for_certificates=True)
    own, key = certificates.sign("client")
    query = f"ssl_cert_reqs=CERT_REQUIRED&ssl_ca_certs={certificates.authority}&ssl_certfile={own}&ssl_keyfile={key}"
    _talk(f"{url}?{query}", tmp_path)


def test_a_tls_connection_to_a_frozen_server_does_not_outlive_its_loop(
    certificates: Certificates, redis_url: str, server: EmbeddedServer, proxies: ProxyThread
) -> None:
    proxy = proxies.open(server.port, certificates.server())
    url = f"rediss://localhost:{proxy.port}/{redis_url.rpartition('/')[2]}?ssl_ca_certs={certificates.authority}"

    async def ask() -> None:
        async with AsyncChatClient(url) as client:
            await client.history("foo")
            proxy.do(frozen.wait)

    frozen = threading.Event()
    asyncio.run(ask())
    gc.collect()  # an open socket warns, and a warning fails the test
    frozen.set()


def test_a_turn_over_tls_that_checks_nothing(secured: Callable[..., str], tmp_path: Path) -> None:
    _talk(f"{secured()}?ssl_cert_reqs=none", tmp_path)


def test_a_certificate_that_nobody_vouches_for_is_told_as_such_and_not_tried_again(
    secured: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnstile.turns.redis.connection.ExponentialWithJitterBackoff", _no_second_try)
    url = secured()
    message = r"^The certificate of Redis at localhost:.* is not trusted: check the host, and ssl_ca_certs in REDIS_URL\."
    with pytest.raises(QueueUnreachable, match=message):
        ChatClient(url).ask("foo", "hello")
    with pytest.raises(QueueUnreachable, match=message):
        TurnStore(Settings(redis_url=url)).status("a")


async def test_an_asyncio_client_tells_of_the_certificate_too(secured: Callable[..., str]) -> None:
    async with AsyncChatClient(secured()) as client:
        with pytest.raises(QueueUnreachable, match="The certificate of Redis at localhost:"):
            await client.ask("foo", "hello")


def _no_second_try(**_: object) -> NoBackoff:
    class Fails(NoBackoff):
        def compute(self, failures: int) -> float:
            raise AssertionError(f"tried again after {failures} failures")

    return Fails()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda url: url.replace(":word@", ":other@"), LoginRefused, "refuses the login: check the user and password"),
        (lambda url: url.replace(":word@", ""), LoginRefused, "refuses the login: check the user and password"),
        (lambda url: f"{url.removesuffix('/0')}/99", SettingError, "^REDIS_URL is not valid: .* has no database 99; "),
    ],
    ids=["a wrong password", "no password", "no such database"],
)
def test_a_refusal_is_told_at_once(
    guarded: str, change: Callable[[str], str], error: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnstile.turns.redis.connection.ExponentialWithJitterBackoff", _no_second_try)
    monkeypatch.setattr("turnstile.producers.reading.readers.OUTAGE_SECONDS", float("inf"))
    url = change(guarded)
    client = ChatClient(url)
    for call in (lambda: client.ask("foo", "hello"), client.turn("a").result, client.turn("a").status):
        with pytest.raises(error, match=message) as caught:
            call()
        assert "word@" not in str(caught.value)

    async def ask() -> None:
        async with AsyncChatClient(url) as awaited:
            for call in (lambda: awaited.ask("foo", "hello"), awaited.turn("a").result):
                with pytest.raises(error, match=message):
                    await call()

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("change", "told"), [((":word@", ":other@"), "refuses the login"), (("/0", "/99"), "has no database 99")]
)
def test_a_gateway_that_is_refused_ends_with_one_line(guarded: str, tmp_path: Path, change: tuple[str, str], told: str) -> None:
    gateway = Gateway(guarded.replace(*change), tmp_path)
    gateway.start(ready=False)
    assert gateway.process
    assert gateway.process.wait(PATIENCE_SECONDS) == 2
    [line] = [line for line in gateway.log.read_text().splitlines() if line.startswith("turnstile: ")]
    assert told in line
    assert "Traceback" not in gateway.log.read_text()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the URL of a server with the password `word`."""
    with EmbeddedServer(tmp_path_factory.mktemp("guarded"), append_only=False, password="word") as server:
        yield server.url


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the socket of a server with a password."""
    folder: Path = tmp_path_factory.mktemp("local")
    options = {"unixsocket": str(folder / "s"), "databases": "32"}
    with EmbeddedServer(folder, append_only=False, password=PASSWORD, options=options):
        yield folder / "s"


@pytest.mark.parametrize(
    ("form", "db"),
    [
        ("unix://{path}?db=3&password={password}", 3),
        ("unix://:{password}@{path}?db=4", 4),
        ("redis+socket://default:{password}@{path}?virtual_host=5", 5),
    ],
)
def test_a_turn_over_a_unix_socket_in_its_database(local: Path, tmp_path: Path, form: str, db: int) -> None:
    _talk(form.format(path=local, password=QUOTED), tmp_path)
    with redis.Redis(unix_socket_path=str(local), password=PASSWORD) as client:
        assert f"db{db}" in client.info("keyspace")
        assert "db0" not in client.info("keyspace")


def test_no_log_shows_the_password_of_a_socket(local: Path, tmp_path: Path) -> None:
    with Worker(f"unix://{local}?db=6&password={QUOTED}", tmp_path) as worker:
        assert not [form for form in (PASSWORD, QUOTED) if form in worker.text()]


def test_flower_counts_what_waits_in_the_database_of_a_socket(local: Path, tmp_path: Path) -> None:
    url = f"unix://{local}?db=7&password={QUOTED}"
    with Flower(url, tmp_path) as seen:
        with Worker(url, tmp_path):
            wait_until(lambda: '"chat"' in seen.get("/api/queues/length"), "Flower knows the queues")
        with redis.Redis(unix_socket_path=str(local), password=PASSWORD, db=7) as client:
            client.rpush("webhooks\x06\x163", "{}", "{}")
            shown = seen.get("/api/queues/length")
        assert re.search(r'"name": "webhooks", "messages": 2', shown), shown
        assert QUOTED not in seen.get("/broker")


@pytest.mark.parametrize("query", ["ssl_ca_certs=/nowhere", "ssl_cert_reqs=maybe", "socket_timeout=1", "password=a&b"])
def test_a_worker_ends_with_the_line_that_a_client_raises(query: str) -> None:
    url = f"rediss://localhost/0?{query}"
    env = environment({"REDIS_URL": url})
    worker = [sys.executable, "-m", "celery", "-A", "turnstile", "worker"]
    asking = [sys.executable, "-c", "from turnstile.producers.cli.commands import main; main()", "ask", "foo", "hello"]
    ended = [subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True) for words in (worker, asking)]
    assert [process.returncode for process in ended] == [2, 2]
    assert ended[0].stderr == ended[1].stderr
    assert len(ended[0].stderr.splitlines()) == 1
    assert ended[0].stderr.startswith("turnstile: REDIS_URL is not valid: ")
