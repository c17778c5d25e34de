"""The page of settings is true."""

from tests.support.settings_page import PAGE, written


def test_the_settings_table_is_that_of_the_settings() -> None:
    assert PAGE.read_text() == written(PAGE.read_text()), "run: python -m tests.support.settings_page"
