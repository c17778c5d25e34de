"""The webhook of a response: the request's or its API key's, if its URL is allowed."""

from collections.abc import Mapping

from turnstile.producers.gateway.edge.api_errors import invalid
from turnstile.producers.gateway.edge.caller import Caller
from turnstile.producers.webhooks import UNSIGNED, check_url, is_signed
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
        if not is_signed(key, settings):
            raise invalid(_PARAM, UNSIGNED, "webhook_unsigned")
        return {"url": url, "key": caller.api_key}
    if background and key and key.webhook:
        return {"url": key.webhook.url, "key": caller.api_key}
    return {}


def _check(url: str, settings: Settings) -> None:
    try:
        check_url(url, settings)
    except ValueError as error:
        raise invalid(_PARAM, f"`{_PARAM}` {error}.", "webhook_not_allowed") from None
