"""Stand-ins of the model: a process for each file of tests, or a server in the test's own loop."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.processes import offline_model
from turnstile.workers.offline.server import OfflineModel


@pytest.fixture(scope="module")
def model() -> Iterator[str]:
    with offline_model() as base_url:
        yield base_url


@pytest.fixture
async def offline() -> AsyncIterator[OfflineModel]:
    """Yield a stand-in that records its requests."""
    async with OfflineModel(record=True) as server:
        yield server
