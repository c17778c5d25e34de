"""The share of prompts that a provider's cache keeps, where windows move in blocks and where they do not.

A program of its own, too: `python -m bench.prompt_cache`.
"""

import tempfile
import time
from pathlib import Path

from bench.contestants import Turnstile
from bench.machine import Bench, bench
from bench.tables import Table
from tests.support.wait import wait_until
from turnstile.turns.question import Options
from turnstile.turns.states import State

SESSIONS = 10
TURNS = 100
_FULL = 20
"""Turns until a window of 40 messages is full."""
_PLAIN = Options(stream=False)


def run(setting: Bench) -> tuple[Table, float]:
    """Return the shares, and that of windows as shipped."""
    table = Table(
        "Tokens that a provider's cache keeps",
        f"{SESSIONS} sessions of {TURNS} turns each, windows of 40 messages; counted once they are full, by a server that "
        "tells how much of a prompt it has seen from its beginning on, as OpenAI counts it.",
        ("share of a window that is left out at once", "prompt tokens a turn", "cached"),
    )
    shares = {}
    for block in ("0", "0.25", "0.5", "0.75"):
        with Turnstile(setting, 20, TURNSTILE_WINDOW_BLOCK=block) as who:
            who.ready()
            tokens, cached = _measure(who)
            shares[block] = cached / tokens
            table.add(block, f"{tokens / SESSIONS / (TURNS - _FULL):,.0f}", f"{shares[block]:.0%}")
    return table, shares["0.5"]


def _measure(who: Turnstile) -> tuple[int, int]:
    """Return the tokens of all prompts, and those of them that the server had seen."""
    asked = [(number, session) for number in range(TURNS) for session in range(SESSIONS)]
    for number, session in asked:
        who.store.submit(f"cache-{session}-{number}", f"cache-{session}", _question(who.database, session, number), _PLAIN)
    wait_until(lambda: who.store.stats()["open"] == 0, "all turns end", 600)
    records = [who.store.status(f"cache-{session}-{number}") for number, session in asked if number >= _FULL]
    assert all(record.state is State.COMPLETED for record in records)
    usages = [record.usage or {} for record in records]
    seen = sum(usage["input_token_details"]["cache_read"] for usage in usages)
    return sum(usage["input_tokens"] for usage in usages), seen


def _question(run: int, session: int, number: int) -> str:
    return (
        f"Conversation {session} of run {run}, question {number}. "
        + "What does this part of our plan cost us? " * 8
        + "[[cache]]"
    )


def main() -> None:
    """Measure, and print the table."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, bench(Path(folder)) as setting:
        table, _ = run(setting)
    print(table.text())
    print(f"\n{(time.monotonic() - began) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
