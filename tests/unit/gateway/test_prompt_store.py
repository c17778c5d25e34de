"""Calls of one API key's requests at Redis."""

import asyncio
from typing import Any

import pytest

from turnstile.producers.gateway.prompt_store import CALLS_OF_A_KEY, PromptStore, api_key
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import AsyncTurnStore


@pytest.mark.parametrize(("keys", "most"), [(["one"], CALLS_OF_A_KEY), (["one", "two"], 2 * CALLS_OF_A_KEY), ([""], 100)])
async def test_a_key_has_some_calls_at_once(monkeypatch: pytest.MonkeyPatch, keys: list[str], most: int) -> None:
    running, seen = 0, 0

    async def run(*_: Any) -> None:
        nonlocal running, seen
        running += 1
        seen = max(seen, running)
        await asyncio.sleep(0)
        running -= 1

    monkeypatch.setattr(AsyncTurnStore, "run", run)
    store = PromptStore(Settings(redis_url="redis://nowhere"))

    async def ask(key: str) -> None:
        api_key.set(key)
        await store.count_messages("foo")

    await asyncio.gather(*(asyncio.create_task(ask(key)) for key in keys for _ in range(100)))
    assert seen == most
