"""A part of the demo: a tool pays, its worker is killed meanwhile, and the payment is made once all the same."""

import os
import signal
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from turnstile.producers.cli.terminal import Terminal
from turnstile.producers.client import ChatClient, Turn
from turnstile.turns.settings import Settings

TOOL = "turnstile.workers.chains.demo_tool:pay"
QUESTION = 'call pay {"amount": 100}'

_PAUSE_SECONDS = 0.05
_SECONDS = 60.0


def can_pay(settings: Settings) -> bool:
    """Return whether the demo's own workers can have the tool: the stand-in calls it, and agents are installed."""
    return settings.offline and not (settings.chain or settings.tools) and find_spec("langgraph") is not None


def pay(terminal: Terminal, client: ChatClient, session: str, folder: Path, show: Callable[[Turn], str]) -> list[str]:
    """Show it, and return what went wrong. `show` shows the answer of a turn; `folder` is where the tool writes."""
    terminal.line()
    terminal.line("A tool pays, and its worker is killed in the middle:")
    terminal.line(f"  user: {QUESTION}")
    turn = client.ask(session, QUESTION)
    if not (begun := _lines_within(folder / "begun", _SECONDS)):
        return ["the tool did not begin"]
    os.kill(int(begun[0]), signal.SIGKILL)
    terminal.line(f"  signal 9 to process {begun[0]}, in which the tool runs")
    answer = show(turn)
    runs, entries = _lines(folder / "begun"), _lines(folder / "ledger")
    terminal.line(f"  The tool began {len(runs)} times, with one idempotency key; its ledger has {_counted(entries)}.")
    faults = [] if "paid 100" in answer else ["the payment has no answer"]
    return faults + ([] if len(entries) == 1 else [f"the ledger has {_counted(entries)}, and not one"])


def _counted(entries: list[str]) -> str:
    return f"{len(entries)} {'entry' if len(entries) == 1 else 'entries'}"


def _lines_within(file: Path, seconds: float) -> list[str]:
    end = time.monotonic() + seconds
    while not (lines := _lines(file)) and time.monotonic() < end:
        time.sleep(_PAUSE_SECONDS)
    return lines


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []
