"""What `ask` takes is what a turn has."""

from dataclasses import fields
from typing import get_type_hints

from turnstile.producers.client import Wishes
from turnstile.turns.question import Options


def test_every_option_can_be_wished_for() -> None:
    assert set(get_type_hints(Wishes)) == {field.name for field in fields(Options)}
