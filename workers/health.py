"""The health file: touched while the process's loop runs and Redis answers, so that a probe costs one `stat`."""

from pathlib import Path

from turns.settings import Settings


def touch(settings: Settings) -> None:
    """Touch the health file, where one is set."""
    if settings.health_file:
        Path(settings.health_file).touch()
