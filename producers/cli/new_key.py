"""New API keys for the gateway."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from turnstile.turns.api_keys import new_key
from turnstile.turns.text import dumps

if TYPE_CHECKING:
    from turnstile.producers.cli.terminal import Terminal

_HINT = "The key is shown only once. Put its entry into TURNSTILE_API_KEYS, or the file that TURNSTILE_API_KEYS_FILE names:"


def _read(limit: str) -> tuple[str, str | list[str]]:
    name, _, value = limit.partition("=")
    return name, value.split(",") if name == "models" else value


def make(
    terminal: "Terminal",
    name: str,
    tenant: str,
    weight: int,
    per_minute: int | None,
    max_body_bytes: int | None,
    limits: Sequence[str],
    webhook_url: str,
    role: str,
    when_busy: str | None,
) -> None:
    """Make a key, and show it with its entry. Raises SettingError if a parameter is wrong."""
    given = {"requests_per_minute": per_minute, "max_body_bytes": max_body_bytes, **dict(map(_read, limits))}
    key = new_key(name, tenant, given, webhook_url, role, weight, when_busy)
    entry = {key.digest: key.entry}
    if not terminal.as_json:
        terminal.result(key.text, None)
        terminal.notice(_HINT)
    terminal.result(dumps(entry), {"key": key.text, "entry": entry})
