"""The model's stand-in of each file of tests."""

from collections.abc import Iterator

import pytest

from tests.support.processes import offline_model


@pytest.fixture(scope="module")
def model() -> Iterator[str]:
    with offline_model() as base_url:
        yield base_url
