"""`python -m bench`: measure everything, print the tables, and write them into docs/performance.md.

`--only throughput,latency` runs a part and writes nothing.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bench import (
    anatomy,
    fairness,
    idle,
    latency,
    page,
    producing,
    prompt_cache,
    scaling,
    server,
    sessions,
    summaries,
    targets,
    throughput,
)
from bench.machine import ROOT, Bench, bench
from bench.tables import Table

PAGE = ROOT / "docs" / "performance.md"
PARTS = (
    *("throughput", "latency", "server", "idle", "producing", "anatomy"),
    *("sessions", "scaling", "fairness", "prompt_cache", "summaries"),
)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="", help=f"parts to run, of: {', '.join(PARTS)}")
    wanted = parser.parse_args().only
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, bench(Path(folder)) as setting:
        for tables in _run(setting, wanted.split(",") if wanted else PARTS):
            if not wanted:
                page.write(PAGE, "make bench", time.monotonic() - began, tables)
    for table in tables:
        print(table.text())
    print(f"\n{(time.monotonic() - began) / 60:.1f} minutes")


def _run(setting: Bench, wanted: Sequence[str]) -> Iterator[list[Table]]:
    """Yield the tables so far, after each part."""
    reached = targets.Targets()
    tables: list[Table] = []
    steps: dict[str, Callable[[], None]] = {
        "latency": lambda: tables.append(reached.latency(*latency.run(setting))),
        "idle": lambda: tables.append(reached.idle(*idle.run(setting))),
        "server": lambda: tables.append(reached.server(*server.run(setting))),
        "producing": lambda: tables.append(reached.producing(*producing.run(setting))),
        "throughput": lambda: tables.extend(reached.throughput(throughput.run(setting))),
        "scaling": lambda: tables.append(scaling.run(setting)),
        "sessions": lambda: tables.extend([reached.lengths(*sessions.lengths(setting)), sessions.extremes(setting)]),
        "fairness": lambda: tables.append(reached.fairness(*fairness.run(setting))),
        "prompt_cache": lambda: tables.append(reached.prompt_cache(*prompt_cache.run(setting))),
        "summaries": lambda: tables.append(reached.summaries(*summaries.run(setting))),
        "anatomy": lambda: tables.append(anatomy.run(setting, reached.turn_microseconds)),
    }
    for name in PARTS:
        if name in wanted:
            print(f"{name} …", file=sys.stderr, flush=True)
            steps[name]()
            yield [reached.table(), *tables]


if __name__ == "__main__":
    main()
