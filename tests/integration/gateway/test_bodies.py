"""A body is read by the routes that take one, up to their limit; every other request is answered without it."""

import http.client
import socket

import pytest

from tests.integration.conftest import Stack

LARGE = 8_000_000
HANGING_SECONDS = 60


def asked(stack: Stack, method: str, path: str, *headers: str, body: bytes = b"") -> http.client.HTTPResponse:
    """Return the answer to a request of which `body` is all that is ever sent after its head."""
    connection = socket.create_connection(("127.0.0.1", stack.gateway.port), timeout=HANGING_SECONDS)
    with connection:
        lines = (f"{method} {path} HTTP/1.1", f"host: localhost:{stack.gateway.port}", *headers)
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        response = http.client.HTTPResponse(connection, method=method)
        response.begin()
        response.read()
        return response


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/healthz", 200),
        ("POST", "/healthz", 405),
        ("GET", "/", 200),
        ("POST", "/nowhere", 404),
        ("POST", "/v1/nowhere", 404),
        ("PUT", "/v1/responses", 405),
        ("GET", "/v1/models", 413),
        ("GET", "/v1/responses/resp_1", 413),
        ("DELETE", "/v1/responses/resp_1", 413),
        ("POST", "/v1/responses/resp_1/cancel", 413),
        ("DELETE", "/v1/conversations/foo", 413),
    ],
)
def test_a_large_body_that_no_route_takes_is_not_read(stack: Stack, method: str, path: str, status: int) -> None:
    response = asked(stack, method, path, f"content-length: {LARGE}")
    assert (response.status, response.headers["connection"]) == (status, "close")
    assert response.headers["x-request-id"]


@pytest.mark.parametrize(("path", "status"), [("/healthz", 200), ("/v1/responses/resp_1", 404)])
def test_a_body_of_unknown_length_is_not_waited_for(stack: Stack, path: str, status: int) -> None:
    response = asked(stack, "GET", path, "transfer-encoding: chunked")
    assert (response.status, response.headers["connection"]) == (status, "close")


@pytest.mark.parametrize("path", ["/v1/responses", "/nowhere"])
def test_a_client_may_send_the_rest_of_a_body_that_was_refused(stack: Stack, path: str) -> None:
    """A connection that broke meanwhile would cost some clients the answer."""
    with socket.create_connection(("127.0.0.1", stack.gateway.port), timeout=HANGING_SECONDS) as connection:
        head = (
            f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {2 * LARGE}\r\n\r\n"
        )
        connection.sendall(head.encode())
        response = http.client.HTTPResponse(connection, method="POST")
        response.begin()
        assert response.read()
        for _ in range(20):
            connection.sendall(b"x" * (2 * LARGE // 20))
        assert connection.recv(1) == b""


def test_a_small_body_that_no_route_takes_costs_no_connection(stack: Stack) -> None:
    response = asked(stack, "DELETE", "/v1/responses/resp_1", "content-length: 2", body=b"{}")
    assert (response.status, response.headers["connection"]) == (404, None)


def test_a_route_with_a_body_reads_it(stack: Stack) -> None:
    headers = ("content-type: application/json", "content-length: 23")
    response = asked(stack, "POST", "/v1/conversations", *headers, body=b'{"metadata": {"a":"b"}}')
    assert (response.status, response.headers["connection"]) == (200, None)


@pytest.mark.parametrize(
    ("body", "status"),
    [(b'{"input":[' + b"[]," * 250_000 + b"[]]}", 413), ('{"input":"hi"}'.encode("utf-16"), 400)],
    ids=["many values", "UTF-16"],
)
def test_a_body_that_would_be_dear_to_read_is_refused_before(stack: Stack, body: bytes, status: int) -> None:
    headers = ("content-type: application/json", f"content-length: {len(body)}")
    assert asked(stack, "POST", "/v1/responses", *headers, body=body).status == status
