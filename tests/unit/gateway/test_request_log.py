"""The line of a request in the gateway's log."""

import logging
from collections.abc import Iterator

import pytest

from turnstile.producers.gateway.edge.request_log import RequestLine
from turnstile.turns import repeated_errors
from turnstile.turns.repeated_errors import OneAMinute


@pytest.fixture
def server(caplog: pytest.LogCaptureFixture) -> Iterator[logging.Logger]:
    """Yield a logger whose warnings pass once a minute."""
    caplog.set_level(logging.INFO)
    found, repeats = logging.getLogger("tests.server"), OneAMinute()
    found.addFilter(repeats)
    yield found
    found.removeFilter(repeats)


@pytest.mark.parametrize("id", ["resp_1\nINFO forged", "\x1b[31m", "a" * 101, "ä", "a b", ""])
def test_what_a_path_says_is_no_line_of_its_own(caplog: pytest.LogCaptureFixture, id: str) -> None:
    caplog.set_level(logging.INFO)
    RequestLine({"type": "http", "method": "GET", "path_params": {"response_id": id}}, "req_1").write()
    RequestLine({"type": "http", "method": "GET", "path_params": {"response_id": "resp_1"}}, "req_2").write()
    forged, whole = (record.getMessage() for record in caplog.records)
    assert forged.startswith("req_1 - GET - - ")
    assert whole.startswith("req_2 - GET - resp_1 ")


def test_what_clients_make_the_server_warn_of_is_a_line_a_minute_with_its_count(
    server: logging.Logger, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for now in (100.0, 161.0, 222.0):
        monkeypatch.setattr(repeated_errors, "monotonic", lambda now=now: now)
        for _ in range(2_000 if now < 200 else 1):
            server.warning("Invalid %s", "request")
        server.warning("Unsupported")
        server.info("started")
        server.info("started")
    more = "Invalid request (and 1,999 more like it since the last such line)"
    others = ["Unsupported", "started", "started"]
    assert caplog.messages == ["Invalid request", *others, more, *others, more, *others]
