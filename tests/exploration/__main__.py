"""`python -m tests.exploration [SCOPE…]`: explore the full scopes on a server of its own, and write docs/exploration.md.

With names, only those scopes are explored; the others' rows stay as they are.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.exploration.explorer import Explorer, Found, Violation
from tests.exploration.page import rewrite, rows, table
from tests.exploration.scopes import FULL, SMALL
from turnstile.deploy.local.server import EmbeddedServer

COMMAND, PAGE = "make explore", "exploration.md"
HEAD = ("scope", "bounds", "what happens", "states", "transitions", "echoes", "longest way")


def main(names: list[str]) -> None:
    """Explore, and write each scope's row as soon as it is known. Raises Violation."""
    chosen = [scope for scope in (*SMALL, *FULL) if not names or scope.name in names]
    with TemporaryDirectory(prefix="exploration-") as folder, EmbeddedServer(Path(folder), append_only=False) as server:
        for scope in chosen:
            with Explorer(scope, server.url) as explorer:
                found = explorer.explore()
            _write(found)
            _say(f"{scope.name}: {found.states:,} states, {found.transitions:,} transitions, {found.seconds:.0f} s")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _write(found: Found) -> None:
    known = {row[0]: row for row in rows(PAGE, COMMAND)}
    counts = (found.states, found.transitions, found.echoes, found.depth)
    known[found.scope.name] = [found.scope.name, *found.scope.bounds(), *(f"{count:,}" for count in counts)]
    rewrite(PAGE, COMMAND, _page([known[scope.name] for scope in (*SMALL, *FULL) if scope.name in known]))


def _page(known: list[list[str]]) -> list[str]:
    sums = [sum(int(row[column].replace(",", "")) for row in known) for column in (3, 4, 5)]
    states, transitions, echoes = (f"{number:,}" for number in sums)
    numbers = [[*row[:3], *(int(cell.replace(",", "")) for cell in row[3:])] for row in known]
    return [
        f"{states} states, {transitions} transitions and {echoes} echoes: no rule was broken.",
        "",
        *table(HEAD, numbers),
    ]


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Violation as violation:
        sys.exit(f"a rule is broken: {violation}")
