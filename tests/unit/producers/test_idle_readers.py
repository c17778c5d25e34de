"""Readers of a turn of which nothing comes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from tests.unit.producers.test_readers import record
from turnstile.producers.reading.follow import follow
from turnstile.producers.reading.readers import EndReader, EventReader, Reader
from turnstile.producers.reading.wakeups import Wakeups
from turnstile.turns.states import State
from turnstile.turns.store.turns import AsyncTurnStore

POLLS = 20


class Store:
    """A store with one turn, which runs until it was asked for POLLS times."""

    def __init__(self) -> None:
        self.looks = self.polls = 0

    @property
    def _state(self) -> State:
        return State.RUNNING if self.polls < POLLS else State.COMPLETED

    async def result(self, _: str) -> Any:
        self.looks += 1
        return record(self._state, 3, "hello")

    async def is_under_way(self, _: str) -> bool:
        self.polls += 1
        return not self._state.ended

    async def events(self, *_: Any) -> list[Any]:
        return []


class Silence:
    """Wake-ups that never come, for readers that wait no time for them."""

    @contextmanager
    def subscribe(self, _: str, __: bool) -> Iterator[Any]:
        yield self

    async def wait(self, _: float) -> bool:
        return False


@pytest.mark.parametrize(("reader", "looks"), [(EventReader(), 1), (EndReader(), 2)])
async def test_an_idle_reader_does_not_read_the_record(reader: Reader[Any], looks: int) -> None:
    store = Store()
    async for _ in follow(cast("AsyncTurnStore", store), cast("Wakeups", Silence()), "t", reader):
        pass
    assert (store.polls, store.looks) == (POLLS, looks)
