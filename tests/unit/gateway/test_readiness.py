"""Readiness: a look once a second, and probes that are answered by it."""

import asyncio
from typing import Any

import pytest

from turnstile.producers.gateway.probes import readiness
from turnstile.producers.gateway.probes.readiness import Readiness
from turnstile.turns.errors import QueueUnreachable
from turnstile.turns.settings import Settings


class _Backend:
    """A backend that counts the pings; while `silent`, none is answered."""

    def __init__(self) -> None:
        self.settings, self.store = Settings(), self
        self.pings, self.silent, self.refusal = 0, False, ""
        self.answered, self.given_up = asyncio.Event(), asyncio.Event()

    async def ping(self) -> None:
        self.pings += 1
        if self.refusal:
            raise QueueUnreachable(self.refusal)
        if not self.silent:
            self.answered.set()
            return
        try:
            await asyncio.Event().wait()
        finally:
            self.given_up.set()

    async def agree(self) -> None: ...


async def _probe(ready: Readiness, times: int = 1) -> str:
    problems = await asyncio.gather(*(ready.problem() for _ in range(times)))
    [code] = {problem.code if problem else "" for problem in problems}
    return code or "ready"


async def test_probes_are_answered_by_the_last_look() -> None:
    backend: Any = _Backend()
    ready = Readiness(backend)
    assert await _probe(ready, 100) == "ready"
    backend.silent = True
    assert await _probe(ready, 100) == "ready"
    assert backend.pings == 1


async def test_a_look_that_is_too_old_counts_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    backend: Any = _Backend()
    ready = Readiness(backend)
    assert await _probe(ready) == "ready"
    backend.silent = True
    monkeypatch.setattr(readiness, "_LAST_SECONDS", -1.0)
    monkeypatch.setattr(readiness, "_PING_SECONDS", 0.01)
    assert await _probe(ready, 100) == "queue_unreachable"
    assert backend.pings == 2
    backend.silent = False
    assert await _probe(ready) == "ready"


async def test_the_watch_keeps_the_look_young(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "_WATCH_SECONDS", 0.001)
    monkeypatch.setattr(readiness, "_PING_SECONDS", 0.01)
    backend: Any = _Backend()
    ready = Readiness(backend)
    watching = asyncio.create_task(ready.watch())
    await backend.answered.wait()
    backend.silent = True
    await backend.given_up.wait()
    for _ in range(10):
        await asyncio.sleep(0)
    monkeypatch.setattr(readiness, "_LAST_SECONDS", 3_600.0)
    assert await _probe(ready) == "queue_unreachable"
    watching.cancel()


async def test_the_log_says_once_why_redis_cannot_be_used(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend: Any = _Backend()
    ready = Readiness(backend)
    monkeypatch.setattr(readiness, "_LAST_SECONDS", -1.0)
    backend.refusal = "Redis takes no more connections: raise its maxclients."
    assert [await _probe(ready) for _ in range(3)] == ["queue_unreachable"] * 3
    assert caplog.messages == [f"not ready: {backend.refusal}"]
