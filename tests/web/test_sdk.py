"""OpenAI's JavaScript SDK, unmodified, against a real gateway."""

from collections.abc import Callable

import pytest


@pytest.mark.parametrize("sdk", ["openai", "openai-6"])
@pytest.mark.timeout(600)
def test_the_javascript_sdk(node: Callable[..., None], sdk: str) -> None:
    node("sdk.test.js", SDK=sdk)
