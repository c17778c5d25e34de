"""Webhooks that may be called: of a URL that the settings allow, and with a secret to sign by."""

from turnstile.turns.api_keys import ApiKey, secret_bytes
from turnstile.turns.errors import InvalidTurn
from turnstile.turns.hosts import lists, split_url
from turnstile.turns.keyring import keyring
from turnstile.turns.settings import Settings

UNSIGNED = "There is no secret to sign webhooks with: set TURNSTILE_WEBHOOK_SECRET."


def check_url(url: str, settings: Settings) -> None:
    """Raise ValueError for a URL that requests may not name, with what is wrong with it."""
    parts = split_url(url)
    if parts.username is not None:
        raise ValueError("must not contain a login")
    if not lists(settings.webhook_allow, parts):
        raise ValueError("names a host that TURNSTILE_WEBHOOK_ALLOW does not list")


def is_signed(key: ApiKey | None, settings: Settings) -> bool:
    """Return whether there is a secret for webhooks of a key."""
    own = key.webhook.secret if key and key.webhook else settings.webhook_secret
    return bool(secret_bytes(own) or secret_bytes(settings.webhook_secret))


def check_webhook(webhook: dict[str, str], tenant: str, settings: Settings) -> None:
    """Raise InvalidTurn for an `Options.webhook` from elsewhere that no request of the tenant could have here."""
    if not webhook:
        return
    url, id = str(webhook.get("url")), str(webhook.get("key") or "")
    key = keyring(settings).by_id(id)
    if id and (key is None or key.own_tenant != tenant):
        raise _refused("is of an API key that the tenant does not have: import with the gateway's settings of API keys")
    if not is_signed(key, settings):
        raise InvalidTurn(UNSIGNED, param="webhook")
    if key and key.webhook and url == key.webhook.url:
        return
    try:
        check_url(url, settings)
    except ValueError as error:
        raise _refused(str(error)) from None


def _refused(reason: str) -> InvalidTurn:
    return InvalidTurn(f"A schedule's webhook {reason}.", param="webhook")
