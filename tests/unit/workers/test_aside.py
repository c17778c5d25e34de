"""Work on large turns: in a thread, so that the loop has its other turns; that on small ones is not worth one."""

import threading
from dataclasses import replace
from typing import Any

import pytest

from turnstile.turns.question import Options
from turnstile.turns.turn import Claim
from turnstile.workers.attempt.aside import aside

SMALL = Claim("a", "foo", "1:n", 1, 4, 0, "hi", Options(), False, 0.0, 0.0, 0.0, ())
MANY = [{"role": "user", "content": "x"}] * 201


@pytest.mark.parametrize(
    ("grown", "beside"),
    [
        ({}, False),
        ({"size": 300_000}, True),
        ({"window": (b"x",) * 201}, True),
        ({"options": Options(history=MANY)}, True),
        ({"options": Options(before=MANY)}, True),
        ({"options": Options(before=MANY[:100], history=MANY[:100]), "window": (b"x",) * 100}, True),
    ],
)
async def test_large_turns_are_worked_on_in_a_thread(grown: dict[str, Any], beside: bool) -> None:
    thread = await aside(replace(SMALL, **grown), threading.current_thread)
    assert (thread is not threading.main_thread()) == beside
