"""A gateway that stops while a request waits, at moments that no client can bring about."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.ports import lasting_port
from tests.support.step_worker import StepWorker
from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.edge.api_errors import ApiError
from turnstile.turns.settings import Settings
from turnstile.turns.states import State


@pytest.fixture
async def backend(settings: Settings) -> AsyncIterator[Backend]:
    backend = Backend(settings)
    yield backend
    await backend.close()


class Client:
    """One that does not go away; `there` is set when it is waited for."""

    def __init__(self) -> None:
        self.there = asyncio.Event()

    async def stay(self) -> Any:
        self.there.set()
        await asyncio.Event().wait()


async def test_a_turn_that_has_just_ended_is_answered(backend: Backend, settings: Settings) -> None:
    worker, client = StepWorker(settings), Client()
    worker.store.submit("resp_1", "foo", "hi")
    waiting = asyncio.create_task(backend.outcome("resp_1", False, client.stay))
    await client.there.wait()
    worker.answer(worker.take(), "hello")
    waiting.cancel()
    record = await waiting
    assert (record.state, record.answer) == (State.COMPLETED, "hello")


async def test_nothing_is_to_be_repeated_when_it_is_not_known_what_became_of_the_turn() -> None:
    client, backend = Client(), Backend(Settings(redis_url=f"redis://127.0.0.1:{lasting_port()}"))
    waiting = asyncio.ensure_future(backend.waiting("resp_1", False)(client.stay(), client.stay()))
    await client.there.wait()
    waiting.cancel()
    with pytest.raises(ApiError) as caught:
        await waiting
    assert caught.value.response().headers["x-should-retry"] == "false"
    await backend.close()
