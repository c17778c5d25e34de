"""Redis over its `maxmemory`: no new turns, and accepted ones still finish."""

import asyncio
from pathlib import Path

import pytest

from tests.support.processes import Worker, offline_model
from tests.support.wait import wait_until, wait_until_async
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.turns.asyncio_tasks import end_all
from turnstile.turns.errors import QueueMemoryFull
from turnstile.turns.redis.connection import close_async
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import AsyncTurnStore, TurnStore
from turnstile.workers.upkeep.intake import Intake


def test_a_worker_that_starts_while_memory_is_full_finishes_what_was_accepted(tmp_path: Path) -> None:
    health = tmp_path / "health"
    with EmbeddedServer(tmp_path / "server") as server, offline_model() as base_url:
        store = TurnStore(Settings(redis_url=server.url))
        for number in range(3):
            store.submit(f"t{number}", "s1", f"question {number}")
        store.client.config_set("maxmemory", 1)
        with pytest.raises(QueueMemoryFull):
            store.submit("t3", "s1", "one more")
        with Worker(server.url, tmp_path, OPENAI_BASE_URL=base_url, TURNSTILE_HEALTH_FILE=str(health)):
            wait_until(lambda: store.status("t2").state is State.COMPLETED, "all turns are completed")
            wait_until(health.exists, "the worker says that it is healthy")
        # Redis 7.0 would have refused every command in it.
        assert "cmdstat_multi" not in store.client.info("commandstats")
        assert len(store.history("s1")) == 6


async def test_the_intake_is_healthy_while_there_is_no_room_for_what_it_would_take(tmp_path: Path) -> None:
    beats: list[None] = []

    async def beaten() -> bool:
        return len(beats) > 1

    with EmbeddedServer(tmp_path / "server") as server:
        store = AsyncTurnStore(Settings(redis_url=server.url))
        await store.client.config_set("maxmemory", 1)
        intake = asyncio.create_task(Intake(store).take_for_ever("celery", lambda: beats.append(None)))
        await wait_until_async(beaten, "it beats")
        await end_all([intake])
        await close_async(server.url)
