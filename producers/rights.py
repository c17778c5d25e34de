"""Rights of questions that come from elsewhere: those that API keys of their tenant have here, whatever a file claims."""

import json
from typing import Any

from turnstile.turns.api_keys import QUOTAS, ApiKey
from turnstile.turns.errors import InvalidTurn
from turnstile.turns.keyring import keyring
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.text import dumps

_MOST = 10**15


def rights_here(tenant: str, options: Options, settings: Settings) -> dict[str, Any]:
    """Return the `weight` and the `quotas` with which a tenant asks such a question: the least that one of its keys has.

    A tenant without keys has no quotas, like somebody who asks by the command line. Raises InvalidTurn for a model or a chain
    that none of its keys may name.
    """
    keys = keyring(settings).of_tenant(tenant)
    may = [key for key in keys if _may_name(key, options)]
    if keys and not may:
        raise InvalidTurn("No API key of the tenant may name the schedule's model here.", param="model")
    quotas: dict[str, int] = {}
    for key in may:
        for name, most in json.loads(key.limits.quotas).items():
            quotas[name] = min(most, quotas.get(name, most))
    return {"weight": min((key.weight for key in may), default=1), "quotas": dumps(quotas) if quotas else ""}


def check_quotas(quotas: dict[str, Any]) -> None:
    """Raise ValueError for what are no quotas of a key, as the scripts read them."""
    if not all(name in QUOTAS and type(most) is int and 1 <= most <= _MOST for name, most in quotas.items()):
        raise ValueError


def _may_name(key: ApiKey, options: Options) -> bool:
    named = {name for name in (options.chain, options.model) if name}
    return key.limits.models is None or named <= set(key.limits.models)
