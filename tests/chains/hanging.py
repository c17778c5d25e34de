"""Chains that hang, each in another way, when they are asked to."""

import asyncio
import re
import time
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableLambda

_LONG = 3_600


async def _block_loop(inputs: dict[str, Any]) -> str:
    """Blocks the loop that all turns of the process run on."""
    if inputs["question"] == "hang":
        time.sleep(_LONG)  # noqa: ASYNC251 - the fault
    return f"heard {inputs['question']}"


async def _spin(inputs: dict[str, Any]) -> str:
    """Computes on the loop that all turns of the process run on until a file exists, or waits for it in peace."""
    verb, _, file = inputs["question"].partition(" ")
    for _ in iter(Path(file).exists, True):
        if verb == "spin":
            sum(range(10_000))
        else:
            await asyncio.sleep(0.05)
    return f"heard {verb}"


async def _swallow(inputs: dict[str, Any]) -> str:
    """Goes on however often it is cancelled."""
    while inputs["question"] == "hang":
        try:
            await asyncio.sleep(_LONG)
        except asyncio.CancelledError:
            continue
    return f"heard {inputs['question']}"


def _block_thread(inputs: dict[str, Any]) -> str:
    """Blocks a thread of the pool."""
    if inputs["question"] == "hang":
        time.sleep(_LONG)
    return f"heard {inputs['question']}"


def _hold_the_lock(inputs: dict[str, Any]) -> str:
    """Backtracks in C for ever, and never releases the interpreter's lock."""
    if inputs["question"] == "hang":
        re.fullmatch(r"(a+)+b", "a" * 80)
    return f"heard {inputs['question']}"


spins_on_loop = RunnableLambda(_spin)
blocks_loop = RunnableLambda(_block_loop)
holds_the_lock = RunnableLambda(_hold_the_lock)
swallows = RunnableLambda(_swallow)
blocks_thread = RunnableLambda(_block_thread)
