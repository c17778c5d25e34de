"""Options of a turn: their checks and their stored form."""

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.turns.json_values import TEXT
from turnstile.turns.errors import InvalidTurn
from turnstile.turns.question import Options

_MESSAGES = st.lists(st.fixed_dictionaries({"role": TEXT, "content": TEXT}), max_size=2)
OPTIONS = st.builds(
    Options,
    stream=st.booleans(),
    queue=st.sampled_from(("chat", "batch")),
    model=st.none() | TEXT,
    instructions=st.none() | TEXT,
    temperature=st.none() | st.floats(0, 2),
    max_output_tokens=st.none() | st.integers(1, 10**6),
    deadline_seconds=st.none() | st.floats(0.1, 1_000),
    store=st.booleans(),
    history=st.none() | _MESSAGES,
    metadata=st.dictionaries(TEXT, TEXT, max_size=2),
)


@given(OPTIONS)
def test_options_come_back(options: Options) -> None:
    assert Options.decode(options.encode()) == options
    assert Options.decode(options.encode().encode()) == options


def test_what_is_as_usual_is_not_written() -> None:
    assert Options().encode() == "{}"
    assert Options(temperature=0).encode() == '{"temperature":0}'
    assert Options.decode("") == Options.decode(b"{}") == Options()


def test_options_of_a_newer_version_are_passed_over() -> None:
    assert Options.decode('{"temperature":1,"from_the_future":[1]}') == Options(temperature=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("queue", "celery"), ("queue", ""),
        ("temperature", -0.1), ("temperature", 2.1), ("temperature", float("nan")),
        ("max_output_tokens", 0), ("max_output_tokens", -1),
        ("deadline_seconds", 0), ("deadline_seconds", float("inf")), ("deadline_seconds", float("nan")),
    ],
)  # fmt: skip
def test_a_bad_option_is_named(name: str, value: Any) -> None:
    with pytest.raises(InvalidTurn, match=f"`{name}` must be") as caught:
        Options(**{name: value})
    assert caught.value.param == name


@pytest.mark.parametrize(
    "options",
    [
        Options(instructions="secret \ud800"),
        Options(metadata={"secret": "\udfff"}),
        Options(response_format={"secret": float("nan")}),
        Options(response_format={"secret": {1}}),
        Options(history=[{"role": "user", "content": "secret \ud800"}]),
    ],
)
def test_options_that_cannot_be_stored_are_refused_and_not_quoted(options: Options) -> None:
    with pytest.raises(InvalidTurn, match="valid Unicode") as caught:
        options.encode()
    assert caught.value.param in {"history", "instructions", "metadata", "response_format"}
    assert "secret" not in str(caught.value)


def test_options_can_be_compared_and_not_changed() -> None:
    assert Options(metadata={"a": "b"}) == Options(metadata={"a": "b"})
    with pytest.raises(AttributeError):
        Options().queue = "batch"  # type: ignore[misc]  # that it is frozen is the point
    assert all(field.kw_only for field in fields(Options))


@pytest.mark.parametrize("messages", [["hi"], [{"content": "hi"}], [{"role": "user"}], [{"role": 1, "content": "hi"}]])
def test_messages_that_are_none_are_refused(messages: list[Any]) -> None:
    with pytest.raises(InvalidTurn, match="role"):
        Options(history=messages)
    with pytest.raises(InvalidTurn, match="role"):
        Options(before=messages)


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"stream": True, "top_k": 1, "messages": []}, "`parameters` cannot hold `messages`, `stream`"),
        ({"api_key": "secret"}, "`api_key`"),
        ({"": 1}, "name → value"),
        ({5: 1}, "name → value"),
    ],
)
def test_parameters_that_are_none_of_the_models(parameters: Any, told: str) -> None:
    with pytest.raises(InvalidTurn, match=told) as caught:
        Options(parameters=parameters)
    assert caught.value.param == "parameters"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("webhook", [{"url": {}}, {"url": "https://example.org", "key": [1]}, {"url": True}])
def test_a_webhook_is_made_of_texts(webhook: Any) -> None:
    with pytest.raises(InvalidTurn, match="`webhook` must be an object of texts") as caught:
        Options(webhook=webhook).encode()
    assert caught.value.param == "webhook"
