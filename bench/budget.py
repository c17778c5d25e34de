"""The rate of calls at a server that allows so many a minute, or so many tokens, and the share that it refuses.

A program of its own, too: `python -m bench.budget --per-minute 60 --turns 500` takes nine minutes, and
`--kind tokens --per-minute 60000 --turns 500` four.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

from bench.machine import PYTHON, Bench, Process, bench
from bench.tables import Table
from tests.support.wait import wait_until
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.turn import Record

_MODEL = "gpt-4o-mini"
_WORKERS = 2
_SLOTS = 50
_LATENCY = 0.5
_WORDS = {"requests": 1, "tokens": 300}
"""Amount that a turn takes of a minute, with its answer, on average at most."""


def run(setting: Bench, *, kind: str = "requests", per_minute: int = 600, turns: int = 500) -> tuple[Table, float, float]:
    """Return the figures with a budget and without; with one, the share of calls refused and that of the rate reached.

    `kind`: `requests` or `tokens`, of which the server allows so many in a minute.
    """
    table = Table(
        f"{turns} turns at a server that allows {per_minute:,} {kind} a minute",
        f"{_WORKERS} workers with {_SLOTS} slots each; what a minute holds beyond that is refused with a 429."
        + " Of twenty questions one is ten times as long as the others." * (kind == "tokens"),
        ("", "calls", "refused", f"{kind} a minute", "of what is allowed", "claims a turn", "turns failed"),
    )
    for name, settings in {
        "with a budget": {"TURNSTILE_MODEL_BUDGETS": json.dumps({_MODEL: {kind: per_minute}})},
        "without: the server's answers alone": {},
    }.items():
        figures = _measure(setting, settings, kind, per_minute, turns)
        table.add(name, *figures[0])
        if settings:
            refused, reached = figures[1:]
    return table, refused, reached


def _measure(
    setting: Bench, settings: dict[str, str], kind: str, per_minute: int, turns: int
) -> tuple[Sequence[str], float, float]:
    offline = [PYTHON, "-m", "turnstile.workers.offline", f"--{kind}-per-minute", str(per_minute), "--latency", str(_LATENCY)]
    database = 900 + len(list(setting.folder.iterdir())) % 90
    url = setting.url(database)
    store = TurnStore(Settings(redis_url=url))
    with ExitStack() as stack:
        model = stack.enter_context(Process(offline, {}, setting.folder / f"limited-{database}.log", orders=True))
        server = Bench(setting.server, model.read(), model, setting.folder)
        for _ in range(_WORKERS):
            command = [
                PYTHON,
                "-m",
                "celery",
                "-A",
                "turnstile",
                "worker",
                "-c",
                str(_SLOTS),
                "--loglevel=INFO",
                "-n",
                f"{uuid4()}@%h",
            ]
            worker = stack.enter_context(server.process("worker", command, {"REDIS_URL": url, **settings}))
            worker.wait_for(" ready.")
        ids = [str(uuid4()) for _ in range(turns)]
        for number, id in enumerate(ids):
            store.submit(id, f"s{number}", _question(kind, number), Options(stream=False))
        wait_until(lambda: store.stats()["open"] == 0, "all turns end", 60 + 180 * turns * _WORDS[kind] / per_minute)
        counts, records = server.counts(), [store.status(id) for id in ids]
        claims = store.stats()["claimed"] / turns
    refused, rate = counts["limited"] / counts["requests"], _rate(records, kind)
    failed = sum(record.code is not None for record in records)
    cells = (f"{counts['requests']}", f"{refused:.1%}", f"{rate:.1f}", f"{rate / per_minute:.1%}", f"{claims:.2f}", f"{failed}")
    return cells, refused, rate / per_minute


def _question(kind: str, number: int) -> str:
    return "hello" if kind == "requests" else "word " * (1_000 if number % 20 == 0 else 100)


def _rate(records: Sequence[Record], kind: str) -> float:
    """Return the answers a minute, or their tokens, between the first and the last."""
    ended = sorted((record for record in records if record.finished), key=lambda record: record.finished or 0)
    first, last = ended[0].finished or 0, ended[-1].finished or 0
    amounts = [(record.usage or {}).get("total_tokens", 0) if kind == "tokens" else 1 for record in ended[1:]]
    return sum(amounts) / (last - first) * 60


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m bench.budget", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kind", choices=("requests", "tokens"), default="requests")
    parser.add_argument("--per-minute", type=int, default=60)
    parser.add_argument("--turns", type=int, default=500)
    asked = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, bench(Path(folder)) as setting:
        table, _, _ = run(setting, kind=asked.kind, per_minute=asked.per_minute, turns=asked.turns)
    print(table.text())
    print(f"\n{(time.monotonic() - began) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
