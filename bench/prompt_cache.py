"""The share of prompts that a provider's cache keeps: of whole histories, windows in blocks or not, and summaries.

A program of its own, too: `python -m bench.prompt_cache`.
"""

import tempfile
import time
from pathlib import Path

from bench.contestants import Turnstile
from bench.machine import Bench, bench
from bench.summing import ENV
from bench.tables import Table
from tests.support.wait import wait_until
from turnstile.turns.question import Options
from turnstile.turns.states import State
from turnstile.turns.summaries import home_of

SESSIONS = 10
TURNS = 100
_FULL = 20
"""Turns until a window of 40 messages is full."""
_PLAIN = Options(stream=False)
_SHIPPED = "a window in blocks of 0.5"
_PROMPTS = {
    "the whole history": {"TURNSTILE_WINDOW_MESSAGES": "10000"},
    "a window that slides": {"TURNSTILE_WINDOW_BLOCK": "0"},
    "a window in blocks of 0.25": {"TURNSTILE_WINDOW_BLOCK": "0.25"},
    _SHIPPED: {},
    "a window in blocks of 0.75": {"TURNSTILE_WINDOW_BLOCK": "0.75"},
    "a summary and a window, in blocks of 0.5": ENV,
}


def run(setting: Bench) -> tuple[Table, float]:
    """Return the shares, and that of windows as shipped."""
    table = Table(
        "Tokens that a provider's cache keeps",
        f"{SESSIONS} sessions of {TURNS} turns each, windows of 40 messages; turns {_FULL + 1} to {TURNS} count. The server "
        "tells how much of a prompt it has seen from its beginning on, as OpenAI counts it: nothing below 1,024 tokens, then "
        "in steps of 128.",
        ("what a prompt holds", "prompt tokens a turn", "cached", "tokens a turn that are not cached"),
    )
    shares = {}
    for name, env in _PROMPTS.items():
        with Turnstile(setting, 20, **env) as who:
            who.ready()
            tokens, cached = _measure(who)
            shares[name] = cached / tokens
            turns = SESSIONS * (TURNS - _FULL)
            table.add(name, f"{tokens / turns:,.0f}", f"{shares[name]:.0%}", f"{(tokens - cached) / turns:,.0f}")
            if env is ENV:
                table.notes.append(_summaries(who))
    return table, shares[_SHIPPED]


def _measure(who: Turnstile) -> tuple[int, int]:
    """Return the tokens of all prompts, and those of them that the server had seen."""
    for number in range(TURNS):
        for session in range(SESSIONS):
            name = f"cache-{session}"
            who.store.submit(f"{name}-{number}", name, _question(who.database, session, number), _PLAIN)
        # A person asks when the last answer is there, and by then so is a summary.
        wait_until(lambda: who.store.stats()["open"] == 0, "all turns end", 600)
    ids = [f"cache-{session}-{number}" for number in range(_FULL, TURNS) for session in range(SESSIONS)]
    records = list(map(who.store.status, ids))
    assert all(record.state is State.COMPLETED for record in records)
    usages = [record.usage or {} for record in records]
    seen = sum(usage["input_token_details"]["cache_read"] for usage in usages)
    return sum(usage["input_tokens"] for usage in usages), seen


def _summaries(who: Turnstile) -> str:
    homes = [home_of(f"cache-{session}") for session in range(SESSIONS)]
    ids = [id.decode() for home in homes for id in who.client.zrange(who.store.keys.turns(home), 0, -1)]
    records = list(map(who.store.status, ids))
    assert all(record.state is State.COMPLETED for record in records)
    tokens = sum((record.usage or {}).get("input_tokens", 0) for record in records)
    turns = SESSIONS * TURNS
    return (
        f"{len(ids):,} summaries were made for {turns:,} turns; their own prompts had {tokens / turns:,.0f} tokens for each "
        "turn, which the table does not hold."
    )


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
    print(table.markdown())
    print(f"\n{(time.monotonic() - began) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
