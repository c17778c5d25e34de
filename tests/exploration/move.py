"""One move from a state to the next."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.exploration.world import World
from turnstile.turns.store.runner import Call


@dataclass(slots=True)
class Move:
    """`world` is what the call meets, or the next state where there is none; `fits` judges the call's result.

    `drains`: it happens by itself sooner or later, with nothing new going wrong.
    """

    label: str
    world: World
    call: Call[Any] | None = None
    fits: Callable[[Any], bool] = bool
    drains: bool = False
