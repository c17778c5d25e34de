"""A turn of a graph by hand: asked, claimed, attempted, looked at."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.worker_parts import Flaky, claimed
from turnstile.memory.codec import decode
from turnstile.turns.question import Options
from turnstile.turns.redis.connection import close_async
from turnstile.turns.settings import Settings
from turnstile.turns.turn import Claim, Event
from turnstile.workers.attempt.attempt import Attempt
from turnstile.workers.attempt.report import Report
from turnstile.workers.chains.graphs.graph import GraphChain


class Stage:
    """Runs attempts of graphs in this process."""

    def __init__(self, store: Flaky) -> None:
        self.store = store

    async def ask(self, question: str, id: str = "a", **options: Any) -> Claim:
        await self.store.submit(id, "foo", question, Options(**options))
        return await claimed(self.store, id)

    def attempt(self, claim: Claim, graph: Any) -> Attempt:
        return Attempt(claim, GraphChain("test", graph), self.store)

    async def run(self, question: str, graph: Any, id: str = "a", **options: Any) -> Report:
        return await self.attempt(await self.ask(question, id, **options), graph).run()

    async def history(self, session: str = "foo") -> list[tuple[str, str]]:
        found = [decode(element) for element in reversed(await self.store.history(session))]
        return [(one.message.type, str(one.message.text)) for one in found if one]

    async def texts(self, id: str = "a") -> str:
        return "".join(event.data for event in await self.store.events(id) if event.type == "text")

    async def steps(self, id: str = "a") -> list[dict[str, str]]:
        events: list[Event] = await self.store.events(id)
        return [json.loads(event.data) for event in events if event.type == "step"]


@pytest.fixture
async def stage(redis_url: str) -> AsyncIterator[Stage]:
    store = Flaky(Settings(redis_url=redis_url, max_attempts=3, retry_base_seconds=0.01))
    yield Stage(store)
    await close_async(store.url)


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "ledger"
    monkeypatch.setenv("LEDGER", str(path))
    return path
