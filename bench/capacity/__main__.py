"""`python -m bench.capacity`: measure what a turn costs and what a server with a million sessions holds.

Writes docs/scaling.md and the figures of `turnstile size`; with `--sessions` below a million it writes nothing.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import page
from bench.capacity import costs, million, report
from bench.machine import ROOT, bench
from turnstile.producers.cli.size import figures

PAGE = ROOT / "docs" / "scaling.md"
SESSIONS, WAITING = 1_000_000, 100_000


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m bench.capacity", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sessions", type=int, default=SESSIONS, help=f"Default: {SESSIONS:,}")
    sessions = parser.parse_args().sessions
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, bench(Path(folder)) as setting:
        measured: dict[str, Any] = {}
        for name, part in {"turns": costs.turns, "memory": costs.in_flight, "gateway": costs.gateway}.items():
            print(f"{name} …", file=sys.stderr, flush=True)
            measured |= part(setting)
        print("sessions …", file=sys.stderr, flush=True)
        found = million.run(setting, sessions, min(WAITING, sessions))
    figure = report.figures(measured, found).rounded()
    tables = report.tables(figure, found)
    if sessions == SESSIONS:
        figures.write(figure)
        page.write(PAGE, "make capacity", time.monotonic() - began, tables)
    for table in tables:
        print(table.text())
    print(f"\n{(time.monotonic() - began) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
