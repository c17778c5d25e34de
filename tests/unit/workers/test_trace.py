"""The trace of a failed attempt: type and place always, text where content may be shown."""

import json
import logging

import pytest

from tests.chains.odd import Own
from turnstile.turns.model_failures import TIMEOUT, Failure
from turnstile.turns.settings import Settings
from turnstile.workers.attempt.trace import trace
from turnstile.workers.chains.origin import place, type_name

SECRET = "Bob's secret"
CHAIN_ERROR = Failure("chain_error", "The chain raised ValueError.", False)


def _caught(text: str = SECRET) -> BaseException:
    try:
        json.loads(text)
    except ValueError as error:
        return error
    raise AssertionError


def test_the_place_is_the_project_s_own_and_not_in_a_library() -> None:
    line = _caught.__code__.co_firstlineno + 2
    assert place(_caught()) == f"{__name__}, line {line}"


def test_the_place_is_in_the_chain_s_package_wherever_that_is_installed() -> None:
    assert place(_caught(), "json.chains:chain").startswith("json.decoder, line ")


def test_an_error_that_was_never_raised_has_no_place() -> None:
    assert place(ValueError(SECRET)) == "an unknown place"


def test_the_type_has_its_module() -> None:
    assert type_name(_caught()) == "json.decoder.JSONDecodeError"
    assert type_name(ValueError()) == "ValueError"
    assert type_name(Own()) == "tests.chains.odd.Own"


def test_content_is_shown_where_it_may_be(caplog: pytest.LogCaptureFixture) -> None:
    error = ValueError(SECRET)
    with caplog.at_level(logging.ERROR):
        trace("t1", error, CHAIN_ERROR, Settings())
        assert "t1: chain_error: ValueError at" in caplog.text
        assert SECRET not in caplog.text
        trace("t1", error, CHAIN_ERROR, Settings(show_content=True))
        assert f"ValueError: {SECRET}" in caplog.text


def test_a_failure_that_is_the_model_s_is_no_error_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        trace("t1", TimeoutError(), TIMEOUT, Settings())
    assert [record.levelname for record in caplog.records] == ["INFO"]
