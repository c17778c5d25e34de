"""Tenants of a storm: their weights and limits, and the policy that each turn of some of them has for a busy session."""

import random
from typing import Any

from tests.chaos.record import CRON
from turnstile.turns.api_keys import Limits
from turnstile.turns.policies import WHEN_BUSY
from turnstile.turns.question import Options

POLICIES = "busy"
"""The prefix of producers whose questions do not all wait, and their tenant: they ask in the same few sessions."""
CALLS = 24
"""Calls of the model that may be under way at one time, of all workers: fewer than their slots."""

_WEIGHTS = {"p0": 3, POLICIES: 2}
_LIMITS = {
    "p1": Limits(running_turns=4),
    "p2": Limits(running_turns=8, unfinished_turns=60),
    POLICIES: Limits(running_turns=4, unfinished_turns=30),
    CRON: Limits(running_turns=4, unfinished_turns=12),
}
SLOTS = {tenant: limits.running_turns for tenant, limits in _LIMITS.items() if limits.running_turns}
"""Slots that a tenant has at one time."""


def tenant_of(session: str) -> str:
    """Return the tenant of a session; empty where it has none."""
    return session.partition("/")[0] if "/" in session else ""


def weight(session: str) -> int:
    """Return the weight of the session's tenant."""
    return _WEIGHTS.get(tenant_of(session), 1)


def quotas(session: str) -> str:
    """Return the quotas that an API key of the session's tenant would bring."""
    limits = _LIMITS.get(tenant_of(session))
    return limits.quotas if limits else ""


def terms(turn: str, session: str) -> dict[str, Any]:
    """Return how a turn is asked in a session: by its tenant's weight and quotas, and in its own way where not all wait."""
    ways = {"when_busy": policy(turn), "options": Options(store=is_stored(turn))} if tenant_of(session) == POLICIES else {}
    return {"weight": weight(session), "quotas": quotas(session), **ways}


def is_stored(turn: str) -> bool:
    """Return whether a turn goes into the history where not all wait: always the same for the same id."""
    return random.Random(f"{turn} is stored").random() > 0.2


def policy(turn: str) -> str:
    """Return what a turn does in a busy session: always the same for the same id. Most wait or are merged."""
    return random.Random(f"{turn} policy").choice((*WHEN_BUSY, "queue", "merge", "merge", "steer"))
