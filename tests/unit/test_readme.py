"""The README is true."""

from tests.readme import README, written


def test_the_settings_table_is_that_of_the_settings() -> None:
    assert README.read_text() == written(README.read_text()), "run: python -m tests.readme"
