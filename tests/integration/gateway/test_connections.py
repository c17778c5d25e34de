"""Clients that send nothing, send slowly, send too much, or never read: none costs the others their service."""

import json
import select
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.gateways import HASTY_APP, Gateway, read_events
from tests.support.wait import PATIENCE_SECONDS, wait_until
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.turns.api_keys import NewKey, new_key
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore

JSON = "content-type: application/json"


@pytest.fixture(scope="module")
def keys() -> list[NewKey]:
    return [new_key("one", "acme"), new_key("two", "other")]


@pytest.fixture(scope="module")
def gateway(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory, keys: list[NewKey]) -> Iterator[Gateway]:
    """Yield a gateway whose deadlines are short."""
    settings = {
        "TURNSTILE_API_KEYS": json.dumps({key.digest: key.entry for key in keys}),
        "TURNSTILE_MAX_QUESTION_BYTES": "4000000",
    }
    with Gateway(server.url, tmp_path_factory.mktemp("hasty"), app=HASTY_APP, **settings) as running:
        yield running


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def _connect(gateway: Gateway, sockets: ExitStack, sent: bytes = b"", receive_buffer: int = 0) -> socket.socket:
    connection = sockets.enter_context(socket.socket())
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(PATIENCE_SECONDS)
    connection.connect(("127.0.0.1", gateway.port))
    connection.sendall(sent)
    return connection


def _head(method: str, path: str, *headers: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "host: localhost", *headers, "", ""]).encode()


def _closed(connection: socket.socket) -> bool:
    """Return True when the server closes the connection; whatever it answers before is dropped."""
    try:
        while connection.recv(65_536):
            pass
    except ConnectionResetError:
        pass
    return True


def _serves(gateway: Gateway) -> bool:
    return httpx.get(f"{gateway.url}/healthz", timeout=PATIENCE_SECONDS).status_code == 200


def test_requests_that_are_no_http_do_not_fill_the_log(gateway: Gateway, sockets: ExitStack) -> None:
    for _ in range(20):
        assert _closed(_connect(gateway, sockets, _head("FOO_BAR", "/")))
    told = gateway.log.read_text().count("Invalid HTTP request received.")
    assert 1 <= told <= 2, "one a minute"


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-a: "])
def test_a_head_that_does_not_come_ends_its_connection(gateway: Gateway, sockets: ExitStack, sent: bytes) -> None:
    assert _closed(_connect(gateway, sockets, sent))


def test_a_head_that_comes_late_on_a_kept_connection_ends_it(gateway: Gateway, sockets: ExitStack) -> None:
    connection = _connect(gateway, sockets, _head("GET", "/healthz"))
    assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
    connection.sendall(b"GET /healthz HT")
    assert _closed(connection)


def test_a_head_without_an_end_is_not_kept(gateway: Gateway, sockets: ExitStack) -> None:
    connection = _connect(gateway, sockets, b"GET /healthz HTTP/1.1\r\n")
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        connection.sendall((b"x-more: " + b"a" * 10_000 + b"\r\n") * 2_000)


def test_a_body_that_does_not_come_is_refused(gateway: Gateway, sockets: ExitStack, keys: list[NewKey]) -> None:
    for length in ("content-length: 100000", "transfer-encoding: chunked"):
        head = _head("POST", "/v1/responses", f"authorization: Bearer {keys[0].text}", JSON, length)
        connection = _connect(gateway, sockets, head)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 408"), length
        assert _closed(connection)


def test_a_body_without_a_key_is_not_waited_for(gateway: Gateway, sockets: ExitStack) -> None:
    connection = _connect(gateway, sockets, _head("POST", "/v1/responses", "content-length: 100000"))
    assert connection.recv(65_536).startswith(b"HTTP/1.1 401")
    assert _closed(connection)


def test_unfinished_bodies_are_bounded_for_each_key(gateway: Gateway, sockets: ExitStack, keys: list[NewKey]) -> None:
    def begin(key: NewKey) -> socket.socket:
        head = _head("POST", "/v1/responses", f"authorization: Bearer {key.text}", JSON, "content-length: 1000001")
        return _connect(gateway, sockets, head + b"x" * 1_000_000)

    greedy = [begin(keys[0]) for _ in range(4)]
    answers = [connection.recv(65_536)[:12] for connection in greedy]
    assert answers.count(b"HTTP/1.1 429") >= 1
    other = begin(keys[1])
    other.sendall(b"x")
    assert other.recv(65_536).startswith(b"HTTP/1.1 400")


def test_answers_that_nobody_reads_end_their_connection(gateway: Gateway, sockets: ExitStack) -> None:
    connection = _connect(gateway, sockets, _head("GET", "/openapi.json") * 200, receive_buffer=4_096)
    wait_until(lambda: _writable_no_more(connection), "the server has ended the connection")
    assert _serves(gateway)


def _writable_no_more(connection: socket.socket) -> bool:
    try:
        connection.sendall(b"\r\n")
    except OSError:
        return True
    return False


def test_a_slow_reader_gets_the_whole_answer(gateway: Gateway, sockets: ExitStack) -> None:
    connection = _connect(gateway, sockets, _head("GET", "/openapi.json", "connection: close"), receive_buffer=4_096)
    answer = bytearray()
    while part := connection.recv(2_000):
        answer += part
    assert answer.endswith(b"}")


def test_a_key_that_does_not_read_large_answers_gets_no_more_of_them(
    gateway: Gateway, sockets: ExitStack, keys: list[NewKey], server: EmbeddedServer
) -> None:
    store = TurnStore(Settings(redis_url=server.url))
    picture: Any = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{'A' * 12_000_000}"}}
    asked: list[bytes] = []
    for key, tenant in zip(keys, ("acme", "other"), strict=True):
        store.submit(f"resp_{tenant}", f"{tenant}/large", [picture])
        asked.append(_head("GET", f"/v1/responses/resp_{tenant}/input_items", f"authorization: Bearer {key.text}"))
    unread: list[socket.socket] = []

    def is_refused() -> bool:
        unread.append(_connect(gateway, sockets, asked[0], receive_buffer=4_096))
        return unread[-1].recv(12) == b"HTTP/1.1 429"

    assert not is_refused()
    # On a busy machine the one before may have been closed by then, as nobody reads it.
    wait_until(is_refused, "another one is refused")
    assert _connect(gateway, sockets, asked[1]).recv(12) == b"HTTP/1.1 200"
    for connection in unread:
        connection.close()
    wait_until(lambda: _connect(gateway, sockets, asked[0]).recv(12) == b"HTTP/1.1 200", "the key is answered again")


def _large_response(server: EmbeddedServer, keys: list[NewKey], id: str) -> list[bytes]:
    """Submit a turn whose events are large for each key's tenant, and return the requests for its stream."""
    store = TurnStore(Settings(redis_url=server.url, max_question_bytes=4_000_000))
    options = Options(instructions="x" * 2_000_000, request={"background": True})
    asked = []
    for key, tenant in zip(keys, ("acme", "other"), strict=True):
        store.submit(f"resp_{id}_{tenant}", f"{tenant}/{id}", "hi", options)
        asked.append(_head("GET", f"/v1/responses/resp_{id}_{tenant}?stream=true", f"authorization: Bearer {key.text}"))
    return asked


def test_a_key_that_does_not_read_large_streams_gets_no_more_of_them(
    gateway: Gateway, sockets: ExitStack, keys: list[NewKey], server: EmbeddedServer
) -> None:
    asked = _large_response(server, keys, "unread")
    unread: list[socket.socket] = []

    def is_refused() -> bool:
        unread.append(_connect(gateway, sockets, asked[0], receive_buffer=4_096))
        return unread[-1].recv(12) == b"HTTP/1.1 429"

    assert not is_refused()
    wait_until(is_refused, "another one is refused")
    assert _connect(gateway, sockets, asked[1]).recv(12) == b"HTTP/1.1 200"
    for connection in unread:
        connection.close()
    wait_until(lambda: _connect(gateway, sockets, asked[0]).recv(12) == b"HTTP/1.1 200", "the key is answered again")


def _unread(gateway: Gateway, sockets: ExitStack, server: EmbeddedServer, key: NewKey, size: int) -> Callable[[], object]:
    """Return a function that asks for an answer of about `size` bytes, and reads no more than its beginning."""
    picture: Any = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{'A' * size}"}}
    TurnStore(Settings(redis_url=server.url)).submit(f"resp_of_{size}", f"acme/{size}", [picture])
    asked = _head("GET", f"/v1/responses/resp_of_{size}/input_items", f"authorization: Bearer {key.text}")
    return lambda: _connect(gateway, sockets, asked, receive_buffer=4_096).recv(12)


def test_a_key_without_room_for_an_answer_is_refused_before_anything_is_done(
    gateway: Gateway, sockets: ExitStack, keys: list[NewKey], server: EmbeddedServer
) -> None:
    fill = _unread(gateway, sockets, server, keys[0], 8_000_000)
    store = TurnStore(Settings(redis_url=server.url))
    with gateway.http(headers={"authorization": f"Bearer {keys[0].text}"}) as http:

        def is_refused() -> bool:
            fill()
            before = store.stats()["open"]
            answer = http.post("/v1/responses", json={"input": "hi", "background": True})
            assert store.stats()["open"] - before == (answer.status_code == 200), answer.text
            return answer.status_code == 429

        wait_until(is_refused, "a question is refused")


def test_what_was_asked_is_told_to_a_key_without_room(
    gateway: Gateway, sockets: ExitStack, keys: list[NewKey], server: EmbeddedServer
) -> None:
    fill = _unread(gateway, sockets, server, keys[0], 6_500_000)
    question: dict[str, Any] = {"input": "hi", "background": True, "instructions": "x" * 2_700_000}
    with gateway.http(headers={"authorization": f"Bearer {keys[0].text}"}) as http:
        fill()
        with http.stream("POST", "/v1/responses", json={**question, "stream": True}) as answer:
            assert answer.status_code == 200, answer.read()
            assert next(read_events(answer.iter_lines()))["type"] == "response.created"

        def refused() -> str:
            fill()
            answer = http.post("/v1/responses", json=question)
            error = answer.json().get("error") or {}
            return str(error["message"]) if answer.status_code == 409 and error["code"] == "answer_not_sent" else ""

        told = wait_until(refused, "there is no room for an answer")
        id = told.split("'")[1]
        sockets.close()
        wait_until(lambda: http.get(f"/v1/responses/{id}").status_code == 200, "the response is there")


def test_streams_that_are_read_hold_nothing_while_they_wait(
    gateway: Gateway, sockets: ExitStack, keys: list[NewKey], server: EmbeddedServer
) -> None:
    asked = _large_response(server, keys, "read")[0]
    for _ in range(5):
        connection, received = _connect(gateway, sockets, asked), bytearray()
        while not (b"event: response.queued" in received and received.endswith(b": keep-alive\n\r\n")):
            part = connection.recv(1_000_000)
            assert part, bytes(received[:300])
            received += part
        assert received.startswith(b"HTTP/1.1 200")


def test_bodies_of_requests_that_wait_for_an_answer_count(gateway: Gateway, sockets: ExitStack, keys: list[NewKey]) -> None:
    body = json.dumps({"input": [{"role": "user", "content": "x" * 200_000}] * 10}).encode()
    post = _head("POST", "/v1/responses", f"authorization: Bearer {keys[0].text}", JSON, f"content-length: {len(body)}") + body
    waiting = [_connect(gateway, sockets, post) for _ in range(2)]

    def one_is_refused() -> bool:
        return any(select.select([connection], [], [], 0)[0] for connection in waiting)

    wait_until(one_is_refused, "two such bodies are too many")
    refused = select.select(waiting, [], [])[0]
    assert [connection.recv(12) for connection in refused] == [b"HTTP/1.1 429"]


def test_silent_connections_make_room(redis_url: str, tmp_path: Path, sockets: ExitStack) -> None:
    with Gateway(redis_url, tmp_path, files="300") as gateway:
        silent = [_connect(gateway, sockets) for _ in range(400)]
        for _ in range(20):
            assert _serves(gateway)
        assert "make room" in gateway.log.read_text()
        assert _closed(silent[0])


def test_a_key_with_all_the_streams_it_can_have_leaves_room_for_others(
    redis_url: str, tmp_path: Path, sockets: ExitStack, keys: list[NewKey]
) -> None:
    entries = json.dumps({key.digest: key.entry for key in keys})
    with Gateway(redis_url, tmp_path, files="300", TURNSTILE_API_KEYS=entries) as gateway:
        with gateway.sdk(api_key=keys[0].text) as sdk:
            waiting = sdk.responses.create(input="hi", background=True)
        stream = _head("GET", f"/v1/responses/{waiting.id}?stream=true", f"authorization: Bearer {keys[0].text}")
        answers = [_connect(gateway, sockets, stream).recv(12) for _ in range(200)]
        assert answers.index(b"HTTP/1.1 429") == (300 - 128) // 2
        with gateway.sdk(api_key=keys[1].text) as sdk:
            assert sdk.responses.create(input="hi", background=True).status == "queued"


def test_the_limit_of_files_is_raised(redis_url: str, tmp_path: Path, sockets: ExitStack) -> None:
    with Gateway(redis_url, tmp_path, files="-S 64") as gateway:
        for _ in range(200):
            _connect(gateway, sockets)
        assert _serves(gateway)
        assert "make room" not in gateway.log.read_text()


def test_the_other_protocol_has_the_same_deadlines(redis_url: str, tmp_path: Path, sockets: ExitStack) -> None:
    with Gateway(redis_url, tmp_path, app=HASTY_APP, options=["--http", "h11"]) as gateway:
        assert _closed(_connect(gateway, sockets, b"GET /healthz HT"))
        connection = _connect(gateway, sockets, _head("GET", "/openapi.json") * 200, receive_buffer=4_096)
        wait_until(lambda: _writable_no_more(connection), "the server has ended the connection")
        assert _serves(gateway)


def test_a_client_that_leaves_amid_pipelined_requests_is_no_error(
    gateway: Gateway, sockets: ExitStack, keys: list[NewKey]
) -> None:
    authorization = f"authorization: Bearer {keys[0].text}"
    with gateway.sdk(api_key=keys[0].text) as sdk:
        response = sdk.responses.create(input="hi", background=True)
        streamed = _head("GET", f"/v1/responses/{response.id}?stream=true", authorization)
        connection = _connect(gateway, sockets, streamed * 3)
        assert connection.recv(1)
        with sdk.responses.retrieve(response.id, stream=True) as events:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
            assert gateway.readiness()()
            sdk.responses.cancel(response.id)
            assert [event.type for event in events][-1] == "response.incomplete"
    assert gateway.readiness()()
    assert "Traceback" not in gateway.text()


@pytest.mark.parametrize("protocol", ["httptools", "h11"])
def test_requests_whose_clients_have_left_are_not_begun(redis_url: str, tmp_path: Path, protocol: str) -> None:
    body = json.dumps({"input": "hi", "background": True}).encode()
    asked = _head("POST", "/v1/responses", JSON, f"content-length: {len(body)}") + body
    with Gateway(redis_url, tmp_path, options=["--http", protocol]) as gateway:
        gateway.signal(signal.SIGSTOP)
        with ExitStack() as sockets:
            for _ in range(200):
                _connect(gateway, sockets, asked)
        gateway.signal(signal.SIGCONT)
        wait_until(lambda: gateway.text().count(" POST ") == 200, "each request has its line in the log")
        assert TurnStore(Settings(redis_url=redis_url)).stats()["open"] < 100
