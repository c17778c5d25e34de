"""A worker's connections when the server has closed them, under uvloop as under asyncio's own loop."""

import asyncio
import gc
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest
import redis
import uvloop

from tests.support.wait import wait_until
from turnstile.turns.redis.connection import close_async
from turnstile.turns.settings import Settings
from turnstile.turns.store.bounded import BoundedStore
from turnstile.turns.store.runner import Call
from turnstile.turns.store.turns import AsyncTurnStore

NewLoop = Callable[[], asyncio.AbstractEventLoop]
both_loops = pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])


def _run(new_loop: NewLoop, work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(work)


async def _closed_connection(store: AsyncTurnStore) -> Any:
    pool: Any = store.client.connection_pool
    connection = await pool.get_connection()
    connection._writer.transport.abort()
    return connection


@both_loops
def test_only_redis_errors_come_out_of_a_closed_connection(new_loop: NewLoop, settings: Settings) -> None:
    async def work() -> None:
        store = AsyncTurnStore(settings)
        connection = await _closed_connection(store)
        with suppress(redis.ConnectionError):  # asyncio's loop finds out when it reads
            await connection.send_command("PING")
        await connection.disconnect()
        await close_async(store.url)

    _run(new_loop, work())


@both_loops
def test_a_closed_connection_is_opened_again(new_loop: NewLoop, settings: Settings) -> None:
    async def work() -> None:
        store = AsyncTurnStore(settings)
        connection = await _closed_connection(store)
        await store.client.connection_pool.release(connection)
        assert await store.client.get("nothing") is None
        await close_async(store.url)

    _run(new_loop, work())


def test_a_store_that_is_dropped_closes_its_connection_at_once(settings: Settings, client: redis.Redis) -> None:
    def names() -> list[str]:
        return [one["name"] for one in client.client_list()]

    store = BoundedStore(settings)
    store.within(10).run(Call("CLIENT", ("SETNAME", "dropped"), bool))
    assert "dropped" in names()
    gc.disable()
    try:
        del store
        wait_until(lambda: "dropped" not in names(), "the server has closed it")
    finally:
        gc.enable()
