"""Tools that a worker runs: one writes its calls to a file, and waits there with large amounts while another file exists."""

import os
import time
from pathlib import Path

from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool


@tool
def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


@tool
def pay(amount: int, config: RunnableConfig) -> str:
    """Pay an amount, once for each key."""
    ledger = Path(os.environ["LEDGER"])
    key = config["configurable"]["idempotency_key"]
    with ledger.open("a") as file:
        file.write(f"{key} {amount}\n")
    while amount > 1 and Path(os.environ["HOLD"]).exists():
        time.sleep(0.02)
    return f"paid {amount}"


tools = [add, pay]
