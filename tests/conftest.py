"""A private server for the whole run, and a database of it for each test."""

import itertools
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import redis

from turnstile.deploy.local.server import EmbeddedServer
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore

_DATABASES = 4_000

# Busy machines are slow.
hypothesis.settings.register_profile("unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("unhurried")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A run in the background ignores Ctrl-C, and so would all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """Yield the run's Redis protocol server."""
    folder: Path = tmp_path_factory.mktemp("server")
    with EmbeddedServer(folder, append_only=False, options={"databases": str(_DATABASES)}) as running:
        yield running


@pytest.fixture(scope="session")
def _numbers() -> Iterator[int]:
    return itertools.count(1)


@pytest.fixture
def redis_url(server: EmbeddedServer, _numbers: Iterator[int]) -> str:
    """Return the URL of an empty database."""
    return f"{server.url.rpartition('/')[0]}/{next(_numbers)}"


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    """Yield a plain client of the test's database; replies are text."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as plain:
        yield plain


@pytest.fixture
def settings(redis_url: str) -> Settings:
    """Return settings for the test's database, the rest as shipped."""
    return Settings(redis_url=redis_url)


@pytest.fixture
def store(settings: Settings) -> TurnStore:
    """Return turns in the test's database."""
    return TurnStore(settings)
