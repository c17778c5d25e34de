"""Commands that run in this process, and a worker by hand."""

from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result

from tests.support.step_worker import StepWorker
from turnstile.producers.cli.commands import main
from turnstile.producers.client import ChatClient
from turnstile.turns.settings import Settings
from turnstile.turns.settings import settings as read_settings

Run = Callable[..., Result]


@pytest.fixture
def run(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run a command with the test's database in REDIS_URL."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    read_settings.cache_clear()
    yield lambda *arguments, **more: CliRunner().invoke(main, arguments, catch_exceptions=False, **more)
    read_settings.cache_clear()


@pytest.fixture
def asked(settings: Settings) -> ChatClient:
    """Return a client of the test's database."""
    return ChatClient(settings=settings)


@pytest.fixture
def step_worker(settings: Settings) -> StepWorker:
    """Return a worker that is made of single steps."""
    return StepWorker(settings)
