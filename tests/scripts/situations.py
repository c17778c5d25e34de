"""For every script, the situations in which it is cut, in files by what they are about."""

from tests.scripts import (
    situations_of_batches,
    situations_of_budgets,
    situations_of_holds,
    situations_of_lines,
    situations_of_policies,
    situations_of_schedules,
    situations_of_steps,
    situations_of_turns,
    situations_of_upkeep,
)
from tests.scripts.situation import SITUATIONS, Situation

__all__ = [
    "SITUATIONS",
    "Situation",
    "situations_of_batches",
    "situations_of_budgets",
    "situations_of_holds",
    "situations_of_lines",
    "situations_of_policies",
    "situations_of_schedules",
    "situations_of_steps",
    "situations_of_turns",
    "situations_of_upkeep",
]
