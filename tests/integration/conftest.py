"""One gateway with one worker and the stand-in model, for all tests that do not break them; and what breaks connections."""

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import openai
import pytest

from tests.chaos.proxy import FaultProxy, ProxyThread
from tests.support.gateways import Gateway
from tests.support.processes import Worker
from tests.support.shared import Shared
from tests.support.worker_parts import Flaky
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.turns.redis.connection import close_async
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore


@dataclass(frozen=True, slots=True)
class Stack:
    """The running processes."""

    redis_url: str
    gateway: Gateway
    worker: Worker

    @property
    def store(self) -> TurnStore:
        """The same turns, without the gateway."""
        return TurnStore(Settings(redis_url=self.redis_url))

    @property
    def is_alive(self) -> bool:
        """True while both processes run."""
        return all(one.process and one.process.poll() is None for one in (self.gateway, self.worker))


@pytest.fixture(scope="session")
def _stacks(
    server: EmbeddedServer, _numbers: Iterator[int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shared[Stack]]:
    @contextmanager
    def run() -> Iterator[Stack]:
        folder: Path = tmp_path_factory.mktemp("stack")
        url = f"{server.url.rpartition('/')[0]}/{next(_numbers)}"
        with Worker(url, folder) as worker, Gateway(url, folder) as gateway:
            yield Stack(url, gateway, worker)

    stacks = Shared(run, lambda stack: stack.is_alive)
    yield stacks
    stacks.close()


@pytest.fixture
def stack(_stacks: Shared[Stack]) -> Stack:
    """Gateway and worker, on a database of their own."""
    return _stacks.get()


@pytest.fixture
def sdk(stack: Stack) -> Iterator[openai.OpenAI]:
    """OpenAI's own SDK."""
    with stack.gateway.sdk() as client:
        yield client


@pytest.fixture
def http(stack: Stack) -> Iterator[httpx.Client]:
    """Yield a plain client of the gateway."""
    with stack.gateway.http() as client:
        yield client


@pytest.fixture(scope="session")
def _names() -> Iterator[int]:
    return itertools.count(1)


@pytest.fixture
def session(_names: Iterator[int]) -> str:
    """Return a session that no other test uses."""
    return f"session-{next(_names)}"


@pytest.fixture
def proxies() -> Iterator[ProxyThread]:
    """Yield a thread for proxies, running."""
    with ProxyThread() as thread:
        yield thread


@pytest.fixture
def proxy(proxies: ProxyThread, redis_url: str) -> FaultProxy:
    """Return a proxy in front of the test's server."""
    return proxies.open(int(redis_url.rpartition(":")[2].partition("/")[0]))


@pytest.fixture
async def flaky(redis_url: str) -> AsyncIterator[Flaky]:
    """Yield a store whose calls can go wrong."""
    store = Flaky(Settings(redis_url=redis_url, max_attempts=2, retry_base_seconds=0.01))
    yield store
    await close_async(store.url)
