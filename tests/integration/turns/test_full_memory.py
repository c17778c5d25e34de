"""Redis over its `maxmemory`: no new turns, and accepted ones still finish."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
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
from turnstile.workers.process import services
from turnstile.workers.process.heartbeat import Heartbeat
from turnstile.workers.process.leases import LeaseKeeper
from turnstile.workers.process.service import Service
from turnstile.workers.webhooks.sender import WebhookSender


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


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the rare services come often."""
    for name in ("_AUDIT_LOOK_SECONDS", "_NOTE_SECONDS"):
        monkeypatch.setattr(services, name, 0.2)


@asynccontextmanager
async def _full(folder: Path) -> AsyncIterator[AsyncTurnStore]:
    """Yield a store on a full server, with a turn that has been accepted, and a schedule that nobody would look at."""
    with EmbeddedServer(folder) as server:
        store = AsyncTurnStore(Settings(redis_url=server.url, sweep_seconds=0.2))
        await store.submit("t1", "s1", "question")
        await store.schedule("daily", "s1", "hi", cron="0 9 * * *", now=1)
        await store.client.delete(store.keys.schedules_due)
        await store.client.config_set("maxmemory", 1)
        yield store
        await close_async(server.url)


def _services(store: AsyncTurnStore, webhooks: WebhookSender) -> list[Service]:
    register = partial(Heartbeat(store, "w1", 4).run, dict, lambda: None)
    return services.services(store, LeaseKeeper(store, "w1"), register, webhooks, lambda _: None)


@pytest.mark.usefixtures("quick")
async def test_no_service_of_a_worker_counts_as_hung_while_there_is_no_room(tmp_path: Path) -> None:
    silent: set[str] = set()

    async def all_have_beaten() -> bool:
        return not silent

    async with _full(tmp_path / "server") as store:
        webhooks = WebhookSender(store.settings)
        found = _services(store, webhooks)
        silent.update(one.name for one in found)
        running = [asyncio.create_task(one.run(partial(silent.discard, one.name))) for one in found]
        await wait_until_async(all_have_beaten, "every service has made progress")
        await end_all(running)
        await webhooks.close()
        assert await store.client.zscore(store.keys.schedules_due, "s1 daily") is not None
