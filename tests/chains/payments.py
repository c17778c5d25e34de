"""An agent that pays from a ledger outside, when a person has approved, and looks things up beside that."""

import asyncio
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager

from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool

from tests.chains.agents import Scripted, note

_SHORTEST, _LONGEST = 0.05, 0.5


@contextmanager
def _noted(tool: str, what: str, config: RunnableConfig) -> Iterator[float]:
    """Write to the ledger when a call begins and ends; yield the seconds that it is to take."""
    entry = f"{tool} {what} {config['configurable']['idempotency_key']}"
    note(f"begun {entry}")
    yield random.uniform(_SHORTEST, _LONGEST)
    note(f"ended {entry}")


@tool
async def pay(what: str, config: RunnableConfig) -> str:
    """Pay for something."""
    with _noted("pay", what, config) as seconds:
        await asyncio.sleep(seconds)
    return f"paid {what}"


@tool
async def look(what: str, config: RunnableConfig) -> str:
    """Look something up."""
    with _noted("look", what, config) as seconds:
        await asyncio.sleep(seconds)
    return f"found {what}"


@tool
def read(what: str, config: RunnableConfig) -> str:
    """Read something, in a thread."""
    with _noted("read", what, config) as seconds:
        time.sleep(seconds)
    return f"read {what}"


agent = create_agent(
    Scripted(),
    [pay, look, read],
    middleware=[HumanInTheLoopMiddleware(interrupt_on={"pay": {"allowed_decisions": ["approve", "reject"]}})],
)
