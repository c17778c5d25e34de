"""All mutants, in the order of docs/mutants.md."""

from tests.mutants.in_batches import BATCHES
from tests.mutants.in_budgets import BUDGETS
from tests.mutants.in_celery import CELERY
from tests.mutants.in_clock import CLOCK
from tests.mutants.in_connections import CONNECTIONS
from tests.mutants.in_cuts import CUTS
from tests.mutants.in_graphs import GRAPHS
from tests.mutants.in_history import HISTORY
from tests.mutants.in_holds import HOLDS
from tests.mutants.in_lines import LINES
from tests.mutants.in_mcp import MCP
from tests.mutants.in_model_server import MODEL_SERVER
from tests.mutants.in_policies import POLICIES
from tests.mutants.in_quotas import QUOTAS
from tests.mutants.in_recovery import RECOVERIES
from tests.mutants.in_schedules import SCHEDULES
from tests.mutants.in_schema import SCHEMAS
from tests.mutants.in_sessions import SESSIONS
from tests.mutants.in_steps import STEPS
from tests.mutants.in_summaries import SUMMARIES
from tests.mutants.in_turns import TURNS
from tests.mutants.in_upkeep import UPKEEP
from tests.mutants.in_webhooks import WEBHOOKS
from tests.mutants.in_worker import WORKER

MUTANTS = (
    *TURNS,
    *SESSIONS,
    *HOLDS,
    *POLICIES,
    *LINES,
    *QUOTAS,
    *BUDGETS,
    *MODEL_SERVER,
    *MCP,
    *BATCHES,
    *SCHEDULES,
    *WEBHOOKS,
    *UPKEEP,
    *SCHEMAS,
    *CLOCK,
    *CUTS,
    *WORKER,
    *CONNECTIONS,
    *RECOVERIES,
    *STEPS,
    *GRAPHS,
    *HISTORY,
    *SUMMARIES,
    *CELERY,
)
