"""An agent whose first model is away, whose second breaks off, and whose tool fails twice: LangChain's middlewares help."""

import os
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import ModelFallbackMiddleware, ModelRetryMiddleware, ToolRetryMiddleware
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from tests.chains.agents import entries, note

SOON: dict[str, Any] = {"initial_delay": 0.0, "jitter": False}


@tool
async def shaky(what: str) -> str:
    """Raise twice, then do it."""
    note(f"tried {what}")
    if entries().count(f"tried {what}") < 3:
        raise ConnectionError("a secret")
    return f"done {what}"


def agent() -> Any:
    """Make the agent."""
    first = ChatOpenAI(model="m", base_url=os.environ["AWAY_URL"], max_retries=0)
    second = ChatOpenAI(model="m", max_retries=0)
    middleware = [
        ModelRetryMiddleware(max_retries=2, **SOON),
        ModelFallbackMiddleware(second),
        ToolRetryMiddleware(max_retries=2, **SOON),
    ]
    return create_agent(first, [shaky], middleware=middleware)
