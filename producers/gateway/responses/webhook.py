"""The webhook of a response: the request's or its API key's, if its URL is allowed."""

from collections.abc import Mapping

from turnstile.producers.gateway.edge.api_errors import ApiError, invalid
from turnstile.producers.gateway.edge.caller import Caller
from turnstile.turns.api_keys import secret_bytes
from turnstile.turns.hosts import lists, split_url
from turnstile.turns.keyring import keyring
from turnstile.turns.settings import Settings

METADATA = "webhook_url"

_PARAM = f"metadata.{METADATA}"


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
    try:
        parts = split_url(url)
    except ValueError as error:
        raise _refused(str(error)) from None
    if parts.username is not None:
        raise _refused("must not contain a login")
    if not lists(settings.webhook_allow, parts):
        raise _refused("names a host that TURNSTILE_WEBHOOK_ALLOW does not list")


def _refused(reason: str) -> ApiError:
    return invalid(_PARAM, f"`{_PARAM}` {reason}.", "webhook_not_allowed")
