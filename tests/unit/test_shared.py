"""A process that tests share is started anew after a failure."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.shared import Shared


def test_a_context_is_entered_again_after_its_start_failed_or_it_died() -> None:
    starts: list[int] = []
    left: list[int] = []
    dead: set[int] = set()

    @contextmanager
    def start() -> Iterator[int]:
        starts.append(number := len(starts))
        if number == 0:
            raise TimeoutError
        yield number
        left.append(number)

    shared = Shared(start, lambda number: number not in dead)
    with pytest.raises(TimeoutError):
        shared.get()
    assert (shared.get(), shared.get()) == (1, 1)
    dead.add(1)
    assert (shared.get(), left) == (2, [1])
    shared.close()
    assert (starts, left) == ([0, 1, 2], [1, 2])
