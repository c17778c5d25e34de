"""The options of `ask` are those of a turn."""

from dataclasses import fields
from typing import get_type_hints

from turnstile.producers.client import AskOptions
from turnstile.turns.question import Options


def test_every_option_can_be_given_to_ask() -> None:
    assert set(get_type_hints(AskOptions)) == {field.name for field in fields(Options)}
