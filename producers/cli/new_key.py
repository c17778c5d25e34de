"""New API keys for the gateway."""

from typing import TYPE_CHECKING

from turnstile.turns.api_keys import Limits, new_key
from turnstile.turns.text import dumps

if TYPE_CHECKING:
    from turnstile.producers.cli.terminal import Terminal

_HINT = "The key is shown only once. Put its entry into TURNSTILE_API_KEYS, or the file that TURNSTILE_API_KEYS_FILE names:"


def make(
    terminal: "Terminal",
    name: str,
    tenant: str,
    weight: int,
    per_minute: int | None,
    max_body_bytes: int | None,
    webhook_url: str,
    role: str,
) -> None:
    """Make a key, and show it with its entry. Raises SettingError if a parameter is wrong."""
    limits = Limits(requests_per_minute=per_minute, max_body_bytes=max_body_bytes)
    key = new_key(name, tenant, limits, webhook_url, role, weight)
    entry = {key.digest: key.entry}
    if not terminal.as_json:
        terminal.result(key.text, None)
        terminal.notice(_HINT)
    terminal.result(dumps(entry), {"key": key.text, "entry": entry})
