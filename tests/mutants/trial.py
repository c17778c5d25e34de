"""Copies of the project in which one mutant at a time is planted, and the tests run."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from tests.mutants.mutant import Mutant

ROOT = Path(__file__).parents[2]
_PARTS = ("turns", "memory", "workers", "producers", "deploy", "package", "tests", "pyproject.toml")
_NAMES = Path(".venv", "names")  # links, relative: in a copy they lead to the copy
_OPTIONS = ("-x", "-q", "--no-header", "-p", "no:cacheprovider", "-rfE", "--timeout=300")
_FAILED, _PASSED = 1, 0
# pytest's own limit ends most tests that hang, but not code in C.
_LONGEST_SECONDS = 1_800.0
_SPARE_SECONDS = 60.0
_TIMES = 5
_HUNG = "a hang in "


class NoVerdict(Exception):
    """The tests could not be run, or fail without any fault."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The test that caught a mutant, empty when none did."""

    mutant: Mutant
    caught_by: str


class Project:
    """A copy of the project, in a folder of its own."""

    def __init__(self, folder: Path, seconds: dict[str, float], root: Path = ROOT) -> None:
        """`seconds`: how long tests take as things are, for all projects together; `assert_sound` measures it."""
        self.folder, self._seconds = folder, seconds
        for part in _PARTS:
            source, target = root / part, folder / part
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        shutil.copytree(root / _NAMES, folder / _NAMES, symlinks=True)

    def assert_sound(self, tests: tuple[str, ...]) -> None:
        """Raises NoVerdict when one of the tests fails as things are, or hangs."""
        for test in tests:
            started = monotonic()
            if caught := self._first_failure(test, self._limit(test)):
                raise NoVerdict(f"without any mutant: {caught}")
            self._seconds.setdefault(test, monotonic() - started)

    def judge(self, mutant: Mutant) -> Verdict:
        """Plant a mutant, run its tests until one fails or hangs, and take the mutant out again.

        Raises NoVerdict when a test hangs without the mutant, too.
        """
        file = self.folder / mutant.file
        sound = file.read_text()
        mutant.plant(self.folder)
        try:
            caught = next(filter(None, (self._first_failure(test, self._limit(test)) for test in mutant.tests)), "")
        finally:
            file.write_text(sound)
        if caught.startswith(_HUNG):
            self.assert_sound((caught.removeprefix(_HUNG),))
        return Verdict(mutant, caught)

    def _limit(self, tests: str) -> float:
        known = self._seconds.get(tests, self._seconds.get(tests.partition("::")[0]))
        return _LONGEST_SECONDS if known is None else _TIMES * known + _SPARE_SECONDS

    def _first_failure(self, tests: str, limit: float) -> str:
        """Return the first test that fails, `a hang in` the tests when they do not end in time, or nothing."""
        env = {**os.environ, "PYTHONPATH": f"{self.folder / _NAMES}{os.pathsep}{self.folder}", "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "pytest", *_OPTIONS, tests]
        try:
            run = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, check=False, timeout=limit)
        except subprocess.TimeoutExpired:
            return f"{_HUNG}{tests}"
        failed = re.search(r"^(?:FAILED|ERROR) (tests/.+?)(?: - .*)?$", run.stdout, re.MULTILINE)
        if run.returncode == _FAILED and failed:
            return failed[1]
        if run.returncode == _PASSED:
            return ""
        raise NoVerdict(f"pytest {tests} ended with {run.returncode}:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
