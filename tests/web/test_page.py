"""The chat page in a real Chromium."""

from collections.abc import Callable

import pytest

from tests.web.conftest import browser


@pytest.mark.timeout(900)
def test_the_page(node: Callable[..., None]) -> None:
    node("page.test.js", CHROMIUM=browser())


@pytest.mark.timeout(900)
def test_the_pages_markdown(node: Callable[..., None]) -> None:
    node("text.test.js")
