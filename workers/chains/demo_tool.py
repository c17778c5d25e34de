"""The tool of `turnstile demo`: a payment that takes its time, and is made once for each idempotency key."""

import os
import time
from pathlib import Path

from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool

from turnstile.turns.settings import settings

_SECONDS = 3.0


@tool
def pay(amount: int, config: RunnableConfig) -> str:
    """Pay an amount."""
    folder = Path(settings().data_dir).parent
    ledger, key = folder / "ledger", config["configurable"]["idempotency_key"]
    _append(folder / "begun", str(os.getpid()))
    if ledger.exists() and any(line.split()[0] == key for line in ledger.read_text().splitlines()):
        return f"paid {amount} already"
    _append(ledger, f"{key} {amount}")
    time.sleep(_SECONDS)
    return f"paid {amount}"


def _append(file: Path, line: str) -> None:
    with file.open("a") as lines:
        lines.write(f"{line}\n")
