"""The webhook of a response: the request's or its API key's, if its URL is allowed."""

from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from turnstile.producers.gateway.edge.api_errors import ApiError, invalid
from turnstile.producers.gateway.edge.caller import Caller
from turnstile.turns.api_keys import secret_bytes
from turnstile.turns.keyring import keyring
from turnstile.turns.settings import Settings

METADATA = "webhook_url"

_PARAM = f"metadata.{METADATA}"
_PORTS = {"http": 80, "https": 443}


def webhook(settings: Settings, caller: Caller, metadata: Mapping[str, str], *, background: bool) -> dict[str, str]:
    """Return `Options.webhook` of a response: its metadata's URL, or, for one in the background, its API key's.

    Empty without either. Raises ApiError for a URL that is not allowed.
    """
    key = keyring(settings).by_id(caller.api_key)
    url = metadata.get(METADATA)
    if url:
        _check(url, settings)
        own = key.webhook.secret if key and key.webhook else settings.webhook_secret
        if not (secret_bytes(own) or secret_bytes(settings.webhook_secret)):
            raise invalid(_PARAM, "There is no secret to sign webhooks with: set TURNSTILE_WEBHOOK_SECRET.", "webhook_unsigned")
        return {"url": url, "key": caller.api_key}
    if background and key and key.webhook:
        return {"url": key.webhook.url, "key": caller.api_key}
    return {}


def _check(url: str, settings: Settings) -> None:
    allowed = [host.strip().lower() for host in settings.webhook_allow.split(",") if host.strip()]
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _refused("is not a URL") from None
    if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None or not url.isascii():
        raise _refused("must be an http or https URL without a login")
    if not any(_matches(host, parts, port) for host in allowed):
        raise _refused("names a host that TURNSTILE_WEBHOOK_ALLOW does not list")


def _matches(allowed: str, parts: SplitResult, port: int | None) -> bool:
    name, _, wanted = allowed.rpartition(":") if allowed.rpartition(":")[2].isdigit() else (allowed, "", "")
    if (port or _PORTS[parts.scheme]) != int(wanted or _PORTS[parts.scheme]):
        return False
    host = parts.hostname or ""
    return host.endswith(name[1:]) if name.startswith("*.") else host == name.strip("[]")


def _refused(reason: str) -> ApiError:
    return invalid(_PARAM, f"`{_PARAM}` {reason}.", "webhook_not_allowed")
