"""`python -m tests.mutants [WORD…]`: plant each mutant, see it caught, and write docs/mutants.md.

With words, only the mutants whose names hold one of them are tried, and with `--new` only those without a row; the others' rows
stay as they are, as long as their mutants and tests are there. The test that caught a mutant the last time is tried first.
"""

import re
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from threading import Lock
from time import monotonic

from tests.exploration.page import ROOT, rewrite, rows, table
from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import Mutant
from tests.mutants.trial import NoVerdict, Project, Verdict

COMMAND, PAGE = "make mutants", "mutants.md"
HEAD = ("mutant", "what it breaks", "where", "caught by")
NEW, _NOTHING = "--new", "**nothing**"
_AT_ONCE = 2


def main(words: list[str]) -> int:
    """Exit code 0 when every mutant was caught."""
    chosen = _chosen(words)
    started = monotonic()
    with TemporaryDirectory(prefix="mutants-") as folder:
        verdicts = _try_all(chosen, Path(folder))
    survivors = [verdict.mutant.name for verdict in verdicts if not verdict.caught_by]
    _say(f"{len(verdicts) - len(survivors)} of {len(verdicts)} mutants caught in {monotonic() - started:.0f} s")
    return 1 if survivors else 0


def _chosen(words: list[str]) -> list[Mutant]:
    wanted = [word for word in words if word != NEW]
    known = _caught_by() if NEW in words else {}
    named = (mutant for mutant in MUTANTS if not wanted or any(word in mutant.name for word in wanted))
    return [mutant for mutant in named if mutant.name not in known]


def _caught_by() -> dict[str, str]:
    """Return the test that caught each mutant, as the page tells, where mutant and test are there still."""
    tests, found = {mutant.name: mutant.tests for mutant in MUTANTS}, {row[0]: row[3] for row in rows(PAGE, COMMAND)}
    return {name: test for name, test in found.items() if name in tests and (test == _NOTHING or _is_there(test))}


def _is_there(caught_by: str) -> bool:
    """Return whether the test that caught a mutant is where it was."""
    file, _, test = caught_by.partition("`")[2].rstrip("`").partition("::")
    path = ROOT / "tests" / file
    return path.exists() and (not test or f"def {test.partition('[')[0]}(" in path.read_text())


def _try_all(mutants: list[Mutant], folder: Path) -> list[Verdict]:
    free: SimpleQueue[Project] = SimpleQueue()
    seconds: dict[str, float] = {}
    projects = [Project(folder / str(number), seconds) for number in range(_AT_ONCE)]
    for project in projects:
        free.put(project)
    writing, caught_by = Lock(), _caught_by()

    def judge(mutant: Mutant) -> Verdict:
        project = free.get()
        try:
            verdict = project.judge(_likeliest_first(mutant, caught_by.get(mutant.name, "")))
        finally:
            free.put(project)
        _say(f"{mutant.name}: {verdict.caught_by or 'SURVIVED'}")
        with writing:
            _write(verdict)
        return verdict

    tests = sorted({test for mutant in mutants for test in mutant.tests})
    projects[0].assert_sound(tuple(tests))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(judge, mutants))


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _likeliest_first(mutant: Mutant, caught_by: str) -> Mutant:
    """Return the mutant with the test first that caught it the last time, if that is still there."""
    known = re.search(r"::(\w+)", caught_by)
    files = {test.partition("::")[0] for test in mutant.tests}
    found = [file for file in files if known and f"def {known[1]}(" in (ROOT / file).read_text()]
    return replace(mutant, tests=(*(f"{file}::{known[1]}" for file in found if known), *mutant.tests))


def _write(verdict: Verdict) -> None:
    known = {**_caught_by(), verdict.mutant.name: _short(verdict.caught_by)}
    shown = [[mutant.name, mutant.breaks, f"`{mutant.file}`", known[mutant.name]] for mutant in MUTANTS if mutant.name in known]
    caught = sum(row[3] != _NOTHING for row in shown)
    rewrite(PAGE, COMMAND, [f"{caught} of {len(shown)} mutants were caught.", "", *table(HEAD, shown)])


def _short(test: str) -> str:
    how, _, name = test.partition("tests/")
    return f"{how}`{name}`" if test else _NOTHING


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except NoVerdict as error:
        sys.exit(str(error))
