"""The outcome of a turn for each error of a model or a chain."""

import logging
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace

import aiohttp
import httpx2
import openai
import pytest
from langchain_core.exceptions import ContextOverflowError, ModelRateLimitError

from turnstile.turns.errors import TurnFailed
from turnstile.turns.model_failures import RATE_LIMITED, Failure
from turnstile.turns.model_limits import retry_after
from turnstile.turns.settings import Settings
from turnstile.workers.attempt.failures import backoff, classify, outage_pause
from turnstile.workers.attempt.outage import Outage
from turnstile.workers.chains.run import ChainOutputError

SECRET = "Bob's secret"  # stands for anything a provider may repeat
REQUEST = httpx2.Request("POST", "http://127.0.0.1/v1/chat/completions")


def answered(status: int, code: str | None = None, message: str = SECRET, **headers: str) -> openai.APIStatusError:
    as_sent = {name.replace("_", "-"): value for name, value in headers.items()}
    response = httpx2.Response(status, headers=as_sent, request=REQUEST)
    return openai.APIStatusError(message, response=response, body={"message": message, "code": code})


def lost(cause: BaseException) -> BaseException:
    """Return a connection error as the SDK's aiohttp transport reports it."""
    error = openai.APITimeoutError(REQUEST)
    error.__cause__ = httpx2.ConnectTimeout(SECRET)
    error.__cause__.__cause__ = cause
    return error


class ProviderRateLimitError(ModelRateLimitError):
    pass


CASES: list[tuple[BaseException, str, bool]] = [
    (answered(400), "invalid_request", False),
    (answered(400, "context_length_exceeded"), "context_length_exceeded", False),
    (answered(400, message=f"This model's maximum context length is 10 tokens. {SECRET}"), "context_length_exceeded", False),
    (answered(400, "content_filter"), "content_filter", False),
    (answered(401, "invalid_api_key"), "authentication", False),
    (answered(403), "authentication", False),
    (answered(404, "model_not_found"), "invalid_request", False),
    (answered(408), "model_timeout", True),
    (answered(409), "model_overloaded", True),
    (answered(422), "invalid_request", False),
    (answered(429), "rate_limited", True),
    (answered(429, "insufficient_quota"), "rate_limited", False),
    (answered(429, "insufficient_quota", x_should_retry="true"), "rate_limited", False),
    (answered(500), "model_overloaded", True),
    (answered(503, "invalid_api_key"), "model_overloaded", True),
    (answered(503, x_should_retry="false"), "model_overloaded", False),
    (openai.APITimeoutError(REQUEST), "model_timeout", True),
    (lost(aiohttp.SocketTimeoutError()), "model_timeout", True),
    (lost(aiohttp.ServerDisconnectedError(SECRET)), "model_unreachable", True),
    (openai.APIConnectionError(message=SECRET, request=REQUEST), "model_unreachable", True),
    (openai.APIError(SECRET, REQUEST, body={"code": "rate_limit_exceeded"}), "rate_limited", True),
    (openai.APIError(SECRET, REQUEST, body={"code": None}), "model_overloaded", True),
    (openai.APIError(SECRET, REQUEST, body={"code": "content_filter"}), "content_filter", False),
    (openai.ContentFilterFinishReasonError(), "content_filter", False),
    (ContextOverflowError(SECRET), "context_length_exceeded", False),
    (ProviderRateLimitError(SECRET), "rate_limited", True),
    (httpx2.ReadTimeout(SECRET), "model_timeout", True),
    (httpx2.ReadError(SECRET), "model_unreachable", True),
    (ConnectionResetError(SECRET), "model_unreachable", True),
    (TimeoutError(SECRET), "model_timeout", True),
    (ValueError(SECRET), "chain_error", False),
    (KeyError(SECRET), "chain_error", False),
]


@pytest.mark.parametrize(("error", "code", "retryable"), CASES, ids=lambda value: getattr(value, "code", None))
def test_classification(error: BaseException, code: str, retryable: bool) -> None:
    failure = classify(error)
    assert (failure.code, failure.retryable) == (code, retryable)
    assert f"`{code}`" in (TurnFailed.__doc__ or "")
    assert SECRET not in failure.message


def test_an_unknown_error_is_named_by_its_type_alone() -> None:
    assert classify(ZeroDivisionError(SECRET)) == Failure("chain_error", "The chain raised ZeroDivisionError.", False)


def test_an_error_with_a_secret_for_its_code_keeps_it() -> None:
    assert SECRET not in classify(answered(400, SECRET)).message


def test_a_wrong_output_says_what_it_was() -> None:
    assert "dict" in classify(ChainOutputError("The chain gave a dict, not an AI message or a string.")).message


def test_retry_after_is_heard() -> None:
    assert classify(answered(429, retry_after="7")).retry_after == 7
    assert classify(answered(503, retry_after="7", retry_after_ms="250")).retry_after == 0.25
    assert classify(answered(400, retry_after="7")).retry_after is None


def test_retry_after_may_be_a_date() -> None:
    then = datetime.now(UTC) + timedelta(seconds=60)
    seconds = retry_after({"retry-after": format_datetime(then, usegmt=True)})
    assert seconds is not None
    assert 0 < seconds <= 60


@pytest.mark.parametrize("text", ["soon", "nan", "inf", "", "Mon, 99 Foo"])
def test_a_senseless_retry_after_counts_as_none(text: str) -> None:
    assert retry_after({"retry-after": text}) is None


def test_a_retry_after_in_the_past_means_now() -> None:
    assert retry_after({"retry-after": "-3"}) == 0
    assert retry_after({"retry-after": "Mon, 01 Jan 2001 00:00:00 GMT"}) == 0


def test_backoff_doubles_within_its_cap() -> None:
    settings = Settings(retry_base_seconds=1, retry_max_seconds=20)
    for attempt, ceiling in ((1, 1), (2, 2), (4, 8), (9, 20), (100, 20)):
        waits = [backoff(attempt, settings) for _ in range(400)]
        assert 0 <= min(waits) < ceiling * 0.2
        assert ceiling * 0.8 < max(waits) <= ceiling


def test_backoff_waits_for_what_the_server_told_up_to_the_cap() -> None:
    settings = Settings(retry_base_seconds=1, retry_max_seconds=20)
    assert all(5 <= backoff(1, settings, 5) <= 6 for _ in range(100))
    assert backoff(1, settings, 1_000) == 20


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (lost(aiohttp.ClientConnectorError(SimpleNamespace(ssl=None), ConnectionRefusedError())), True),  # type: ignore[arg-type]
        (lost(aiohttp.ConnectionTimeoutError()), True),
        (ConnectionRefusedError(), True),
        (answered(502), True),
        (answered(503), True),
        (answered(504), True),
        (answered(503, x_should_retry="false"), False),
        (answered(500), False),
        (answered(429), True),
        (answered(429, retry_after="7"), True),
        (answered(429, "insufficient_quota"), False),
        (lost(aiohttp.ServerDisconnectedError()), False),
        (ConnectionResetError(), False),
        (openai.APIConnectionError(request=REQUEST), False),
    ],
)
def test_a_server_that_is_away_is_told_from_one_that_a_question_may_have_ended(error: BaseException, away: bool) -> None:
    assert classify(error).away == away


def test_a_server_that_asks_for_patience_has_no_outage() -> None:
    assert Failure("model_overloaded", "", True, away=True).is_outage
    assert not Failure("model_overloaded", "", True).is_outage
    assert not Failure("model_overloaded", "", True, 3.0, away=True).is_outage
    assert not RATE_LIMITED.is_outage


def test_pauses_grow_with_an_outage_and_end_before_the_deadline() -> None:
    settings = Settings(retry_base_seconds=1, retry_max_seconds=20)
    for elapsed, most in ((0.0, 1), (2.0, 1), (10.0, 5), (100.0, 20)):
        pauses = [outage_pause(elapsed, 500, settings) or 0 for _ in range(200)]
        assert most / 2 <= min(pauses)
        assert max(pauses) <= most
    assert outage_pause(100, 7, settings) == 5
    assert outage_pause(100, 2, settings) is None
    assert outage_pause(0, 500, settings, 7) == 7
    assert outage_pause(0, 500, settings, 700) == 20


def test_an_outage_is_told_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage(logging.getLogger("test"))
    outage.over()
    for _ in range(3):
        for _ in range(5):
            outage.note("It is away.")
        outage.over()
        outage.over()
    assert caplog.messages == ["It is away. Turns wait for it, until their deadlines.", "The model's server answers again."]
