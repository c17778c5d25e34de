"""Run client programs against the gateway; `--publish` writes what worked into docs/clients.md."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.clients.clients import Client, clients
from tests.clients.results import publish
from tests.clients.run import STEPS, Row, rows_of
from tests.clients.stack import stack


def _run(chosen: list[Client], folder: Path) -> list[Row]:
    done: list[Row] = []
    with stack(folder) as (base_url, key):
        for client in chosen:
            rows, output = rows_of(client, base_url, key)
            for row in rows:
                _tell(row)
            if not all(row.worked for row in rows):
                sys.stderr.write(output)
            done += rows
    return done


def _tell(row: Row) -> None:
    results = "  ".join(f"{step} {row.results[step]}" for step in STEPS)
    sys.stdout.write(f"{row.name} {row.version}: {results}\n" + "".join(f"  {reason}\n" for reason in row.reasons))
    sys.stdout.flush()


def main() -> int:
    """Return 1 when a step of a client failed."""
    known = {client.name: client for client in clients()}
    parser = argparse.ArgumentParser(prog="python -m tests.clients", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all if none is named: {', '.join(known)}")
    parser.add_argument("--publish", action="store_true")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(known):
        parser.error(f"no such client: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory() as folder:
        rows = _run([known[name] for name in arguments.names or known], Path(folder))
    if arguments.publish:
        publish(rows)
    return 0 if all(row.worked for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
