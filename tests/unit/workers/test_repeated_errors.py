"""Errors that repeat, and what of them reaches the log."""

import logging

import pytest
from redis.exceptions import InvalidResponse, NoPermissionError, ResponseError

from turnstile.workers.celery_patches.repeated_errors import OncePerMinute, OutageLog

log = logging.getLogger(__name__)


def test_an_error_is_told_once_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    outage = OutageLog(log, "consumer")
    for _ in range(100):
        outage.record(ResponseError("NOREPLICAS Not enough good replicas to write."))
    outage.end()
    outage.end()
    assert caplog.messages == [
        "consumer: ResponseError: NOREPLICAS Not enough good replicas to write. (trying again)",
        "consumer: works again",
    ]


def test_an_error_that_comes_and_goes_is_not_told_each_time(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    outage = OutageLog(log, "consumer")
    for _ in range(100):
        outage.record(NoPermissionError("no right"))
        outage.end()
    assert len(caplog.messages) == 2


def test_each_other_error_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    outage = OutageLog(log, "consumer")
    outage.record(NoPermissionError("no right"))
    outage.record(ConnectionRefusedError(111, "Connection refused"))
    assert len(caplog.messages) == 2


def test_the_wait_grows_to_a_second_and_begins_anew_afterwards() -> None:
    outage = OutageLog(log, "consumer")
    pauses = [outage.record(ResponseError("no")) for _ in range(10)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (0.1, 1.0)
    outage.end()
    assert outage.record(ResponseError("no")) == 0.1


def test_what_could_not_be_parsed_is_not_quoted(caplog: pytest.LogCaptureFixture) -> None:
    OutageLog(log, "consumer").record(InvalidResponse("Protocol Error: b'my secret'"))
    assert "secret" not in caplog.text


def test_a_line_about_redis_passes_once_and_without_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    noisy = logging.getLogger("tests.noisy")
    noisy.addFilter(OncePerMinute())
    for _ in range(10):
        try:
            raise ResponseError("NOREPLICAS")
        except ResponseError as error:
            noisy.error("Error in timer: %r", error, exc_info=True)
    assert len(caplog.records) == 1
    assert "Traceback" not in caplog.text


def test_a_line_about_anything_else_passes_whole(caplog: pytest.LogCaptureFixture) -> None:
    noisy = logging.getLogger("tests.noisy")
    for _ in range(2):
        try:
            raise LookupError("a fault of ours")
        except LookupError:
            noisy.exception("Error in timer")
    assert len(caplog.records) == 2
    assert "Traceback" in caplog.text
