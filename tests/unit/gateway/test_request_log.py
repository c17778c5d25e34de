"""The line of a request in the gateway's log."""

import logging

import pytest

from turnstile.producers.gateway.edge.request_log import RequestLine


@pytest.mark.parametrize("id", ["resp_1\nINFO forged", "\x1b[31m", "a" * 101, "ä", "a b", ""])
def test_what_a_path_says_is_no_line_of_its_own(caplog: pytest.LogCaptureFixture, id: str) -> None:
    caplog.set_level(logging.INFO)
    RequestLine({"type": "http", "method": "GET", "path_params": {"response_id": id}}, "req_1").write()
    RequestLine({"type": "http", "method": "GET", "path_params": {"response_id": "resp_1"}}, "req_2").write()
    forged, whole = (record.getMessage() for record in caplog.records)
    assert forged.startswith("req_1 - GET - - ")
    assert whole.startswith("req_2 - GET - resp_1 ")
