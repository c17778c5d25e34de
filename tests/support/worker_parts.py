"""A worker's parts on a real server, for tests: a store whose calls go wrong, and chains and claims made by hand."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from celery import Celery
from langchain_core.runnables import RunnableGenerator

from turnstile.turns.errors import QueueUnreachable
from turnstile.turns.settings import Settings
from turnstile.turns.store.runner import Call
from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.turns.turn import Claim
from turnstile.workers.attempt.attempt import Attempt

T = TypeVar("T")
Speak = Callable[[], AsyncIterator[str]]

_nonces = itertools.count(1)


class Flaky(AsyncTurnStore):
    """A store whose calls can go wrong: `refused` ones never reach the server, of `unheard` ones the reply is lost."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.calls: list[str] = []
        self.refused: dict[str, int] = {}
        self.unheard: dict[str, int] = {}
        self.meanwhile: Callable[[], None] = lambda: None

    async def run(self, call: Call[T]) -> T:
        """Make a call, and let it go wrong as often as it shall."""
        self.calls.append(call.name)
        self._spend(self.refused, call.name)
        result = await super().run(call)
        self.meanwhile()
        self._spend(self.unheard, call.name)
        return result

    def _spend(self, left: dict[str, int], name: str) -> None:
        if left.get(name):
            left[name] -= 1
            raise QueueUnreachable("It does not answer.")


def chain(speak: Speak) -> RunnableGenerator[Any, str]:
    """Yield a chain that says what `speak` yields."""

    async def transform(inputs: AsyncIterator[Any]) -> AsyncIterator[str]:
        async for _ in inputs:
            async for piece in speak():
                yield piece

    return RunnableGenerator(transform)


async def hello() -> AsyncIterator[str]:
    yield "hello"


async def claimed(store: AsyncTurnStore, id: str, worker: str = "w1") -> Claim:
    claim = await store.claim(id, worker, f"nonce-{next(_nonces)}")
    assert isinstance(claim, Claim), claim
    return claim


async def started(store: AsyncTurnStore, id: str, session: str = "foo") -> Claim:
    await store.submit(id, session, f"question {id}")
    return await claimed(store, id)


async def taken_over(store: AsyncTurnStore, claim: Claim) -> Claim:
    """Let the lease run out, and have another worker claim the turn."""
    await store.client.hset(store.keys.session(claim.session), "lease", "1")
    await make_due(store, claim.session)
    await store.sweep()
    return await claimed(store, claim.id, "w2")


async def make_due(store: AsyncTurnStore, *sessions: str) -> None:
    await store.client.zadd(store.keys.due, dict.fromkeys(sessions, 1))


async def texts(store: AsyncTurnStore, id: str) -> list[str]:
    return [event.data for event in await store.events(id) if event.type == "text"]


def says(what: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        return what()

    return ask


@contextmanager
def plain_app(url: str) -> Iterator[Celery]:
    """Yield a Celery app that knows nothing of Turnstile; its connections are closed at the end."""
    with Celery("stranger", broker=url, backend=url) as app:
        try:
            yield app
        finally:
            backend: Any = app.backend
            backend.result_consumer.stop()
            backend.client.close()
            backend.client.connection_pool.disconnect()


class Hanging:
    """Says one word and then nothing; `left` once its listener is gone."""

    def __init__(self) -> None:
        self.begun, self.left = asyncio.Event(), asyncio.Event()

    async def speak(self) -> AsyncIterator[str]:
        """Yield the word."""
        yield "well "
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.left.set()


async def hanging(store: AsyncTurnStore, claim: Claim) -> tuple[Attempt, asyncio.Task[Any], Hanging]:
    """Return an attempt in the middle of its model's answer."""
    model = Hanging()
    attempt = Attempt(claim, chain(model.speak), store)
    task = asyncio.create_task(attempt.run())
    await model.begun.wait()
    return attempt, task, model
