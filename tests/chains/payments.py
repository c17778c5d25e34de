"""An agent that pays from a ledger outside, when a person has approved, and looks things up beside that."""

import asyncio
import random
import time

from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool

from tests.chains.agents import Scripted, note

_SHORTEST, _LONGEST = 0.05, 0.5


def _seconds() -> float:
    return random.uniform(_SHORTEST, _LONGEST)


@tool
async def pay(what: str, config: RunnableConfig) -> str:
    """Pay for something."""
    key = config["configurable"]["idempotency_key"]
    note(f"begun pay {what} {key}")
    await asyncio.sleep(_seconds())
    note(f"ended pay {what} {key}")
    return f"paid {what}"


@tool
async def look(what: str, config: RunnableConfig) -> str:
    """Look something up."""
    key = config["configurable"]["idempotency_key"]
    note(f"begun look {what} {key}")
    await asyncio.sleep(_seconds())
    note(f"ended look {what} {key}")
    return f"found {what}"


@tool
def read(what: str, config: RunnableConfig) -> str:
    """Read something, in a thread."""
    key = config["configurable"]["idempotency_key"]
    note(f"begun read {what} {key}")
    time.sleep(_seconds())
    note(f"ended read {what} {key}")
    return f"read {what}"


agent = create_agent(
    Scripted(),
    [pay, look, read],
    middleware=[HumanInTheLoopMiddleware(interrupt_on={"pay": {"allowed_decisions": ["approve", "reject"]}})],
)
