"""Names of settings in the environment."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

PREFIX = "TURNSTILE_"
_ALIKE = 0.8
_PLAIN = {
    "xdg_data_home": "XDG_DATA_HOME",
    "redis_url": "REDIS_URL",
    "openai_api_key": "OPENAI_API_KEY",
    "openai_base_url": "OPENAI_BASE_URL",
}
_OTHERS = "otel_"
"""Beginning of fields whose variables are OpenTelemetry's, under its own names."""


def variable(field: str) -> str:
    """Return the environment variable behind a field of the settings."""
    return _PLAIN.get(field, field.upper() if field.startswith(_OTHERS) else f"{PREFIX}{field.upper()}")


def misspelt(environ: Iterable[str], known: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the unknown names that look like one of ours, each with ours.

    Other names with our prefix belong to other programs: Cloudflare's Turnstile has `TURNSTILE_SECRET_KEY`, for instance.
    """
    ours = {name.removeprefix(PREFIX): name for name in known}
    for name in sorted(name for name in environ if name.startswith(PREFIX) and name not in ours.values()):
        if near := get_close_matches(name.removeprefix(PREFIX).upper(), ours, n=1, cutoff=_ALIKE):
            yield name, ours[near[0]]
