"""A chain that looks a name up, as a tool that fetches what a model has chosen would."""

import asyncio
from typing import Any

from langchain_core.runnables import RunnableLambda


async def _look_up(inputs: dict[str, Any]) -> str:
    """Look up the host that the question names."""
    await asyncio.get_running_loop().getaddrinfo(inputs["question"], 80)
    return "found"


looks_up = RunnableLambda(_look_up)
