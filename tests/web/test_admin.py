"""The page for operators in a real Chromium."""

from collections.abc import Callable

import pytest

from tests.web.conftest import browser


@pytest.mark.timeout(900)
def test_the_page_for_operators(node: Callable[..., None]) -> None:
    node("admin.test.js", CHROMIUM=browser())
