"""Every test of a script runs on both faces of the store."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis

from tests.scripts.scene import Awaited, Scene, open_face
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.turns.settings import Settings


@pytest.fixture(params=["sync", "async"])
def face(request: pytest.FixtureRequest) -> str:
    """Which store runs the scripts."""
    return str(request.param)


class Stage:
    """Opens scenes on one face, and closes them after the test."""

    def __init__(self, face: str, url: str, stack: ExitStack) -> None:
        self._face, self._url, self._stack = face, url, stack

    def open(self, **changed: Any) -> Scene:
        """Return a scene on the test's database, with some settings of its own."""
        turns = open_face(self._face, Settings(**{"redis_url": self._url, **changed}))
        if isinstance(turns, Awaited):
            self._stack.callback(turns.close)
        client = self._stack.enter_context(redis.Redis.from_url(self._url, decode_responses=True))
        return Scene(turns, client)


@pytest.fixture
def stage(face: str, redis_url: str) -> Iterator[Stage]:
    """Opens scenes with settings of their own."""
    with ExitStack() as stack:
        yield Stage(face, redis_url, stack)


@pytest.fixture
def scene(stage: Stage) -> Scene:
    """Return a scene with the settings as shipped."""
    return stage.open()


@pytest.fixture(scope="session")
def small_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """Yield a server of its own, whose memory tests may take away."""
    with EmbeddedServer(tmp_path_factory.mktemp("small"), append_only=False) as server:
        yield server


class Memory:
    """Takes a server's memory away and gives it back."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def fill(self) -> None:
        """From now on the server is over its maxmemory."""
        self._client.config_set("maxmemory", 1)

    def free(self) -> None:
        """Give the memory back."""
        self._client.config_set("maxmemory", 0)


@pytest.fixture
def cramped(face: str, small_server: EmbeddedServer) -> Iterator[tuple[Scene, Memory]]:
    """Yield a scene on a server whose memory can be taken away."""
    with ExitStack() as stack:
        scene = Stage(face, small_server.url, stack).open()
        memory = Memory(scene.client)
        stack.callback(scene.client.flushall)
        stack.callback(memory.free)
        yield scene, memory
