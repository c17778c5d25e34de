"""Rights of questions that come from elsewhere: those that API keys of their tenant have here, whatever a file claims."""

import json
from typing import Any

from turnstile.turns.api_keys import QUOTAS, ApiKey, add_requests
from turnstile.turns.errors import InvalidTurn
from turnstile.turns.keyring import keyring
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.text import dumps

_MOST = 10**15
_COUNTED = QUOTAS | {"requests_per_minute"}
_LONGEST_ID = 100


def rights_here(tenant: str, options: Options, settings: Settings) -> dict[str, Any]:
    """Return the `weight` and the `quotas` with which a tenant asks such a question: the least that one of its keys has.

    A tenant without keys has no quotas, like somebody who asks by the command line. Raises InvalidTurn for a model or a chain
    that none of its keys may name.
    """
    keys = keyring(settings).of_tenant(tenant)
    may = {id: key.limits for id, key in keys.items() if _may_name(key, options)}
    if keys and not may:
        raise InvalidTurn("No API key of the tenant may name the schedule's model here.", param="model")
    quotas: dict[str, int] = {}
    for limits in may.values():
        for name, most in json.loads(limits.quotas).items():
            quotas[name] = min(most, quotas.get(name, most))
    paced = [(limits.requests_per_minute, id) for id, limits in may.items() if limits.requests_per_minute]
    asked = add_requests(dumps(quotas), *min(paced, default=(None, "")))
    return {
        "weight": min((keys[id].weight for id in may), default=1),
        "quotas": "" if asked == "{}" else asked,
    }


def check_quotas(quotas: dict[str, Any]) -> None:
    """Raise ValueError for what are no quotas of a key, as the scripts read them."""
    most = {name: number for name, number in quotas.items() if name != "key"}
    if not all(name in _COUNTED and type(number) is int and 1 <= number <= _MOST for name, number in most.items()):
        raise ValueError
    key = quotas.get("key", "")
    if type(key) is not str or len(key) > _LONGEST_ID or (not key and "requests_per_minute" in most):
        raise ValueError


def _may_name(key: ApiKey, options: Options) -> bool:
    named = {name for name in (options.chain, options.model) if name}
    return key.limits.models is None or named <= set(key.limits.models)
