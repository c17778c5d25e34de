"""Turns in Redis as a whole: every role on one runner."""

from turnstile.turns.store.batches import Batches
from turnstile.turns.store.budgets import ModelBudgets
from turnstile.turns.store.conversations import Conversations
from turnstile.turns.store.files import Files
from turnstile.turns.store.holds import Holds
from turnstile.turns.store.limits import Limits
from turnstile.turns.store.overviews import Overviews
from turnstile.turns.store.registry import Registry
from turnstile.turns.store.rights import Rights
from turnstile.turns.store.runner import AwaitedRunner, BlockingRunner
from turnstile.turns.store.schedules import Schedules
from turnstile.turns.store.schema import Schema
from turnstile.turns.store.steps import Steps
from turnstile.turns.store.upkeep import Upkeep
from turnstile.turns.store.webhooks import Webhooks
from turnstile.turns.store.working import Working


class _Roles(
    Schedules,
    Working,
    Upkeep,
    Overviews,
    Registry,
    Schema,
    Conversations,
    Holds,
    Webhooks,
    Limits,
    ModelBudgets,
    Steps,
    Files,
    Batches,
    Rights,
):
    """Every operation."""


class TurnStore(_Roles, BlockingRunner):
    """The blocking face of every operation. Thread-safe."""


class AsyncTurnStore(_Roles, AwaitedRunner):
    """The awaited face of every operation; for one event loop."""
