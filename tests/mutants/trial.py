"""Copies of the project in which one mutant at a time is planted, and the tests run."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.mutant import Mutant

ROOT = Path(__file__).parents[2]
_PARTS = ("turns", "memory", "workers", "producers", "deploy", "package", "tests", "pyproject.toml")
_NAMES = Path(".venv", "names")  # links, relative: in a copy they lead to the copy
_OPTIONS = ("-x", "-q", "--no-header", "-p", "no:cacheprovider", "-rfE", "--timeout=60")
_FAILED, _PASSED = 1, 0


class NoVerdict(Exception):
    """The tests could not be run, or fail without any fault."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which test caught a mutant; empty: none did."""

    mutant: Mutant
    caught_by: str


class Project:
    """A copy of the project, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for part in _PARTS:
            source, target = ROOT / part, folder / part
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        shutil.copytree(ROOT / _NAMES, folder / _NAMES, symlinks=True)

    def assert_sound(self, tests: tuple[str, ...]) -> None:
        """Raises NoVerdict when tests fail as things are."""
        if caught := self._first_failure(tests):
            raise NoVerdict(f"{caught} fails without any mutant")

    def judge(self, mutant: Mutant) -> Verdict:
        """Plant a mutant, run its tests until one fails, and take the mutant out again."""
        file = self.folder / mutant.file
        sound = file.read_text()
        mutant.plant(self.folder)
        try:
            return Verdict(mutant, next(filter(None, (self._first_failure((test,)) for test in mutant.tests)), ""))
        finally:
            file.write_text(sound)

    def _first_failure(self, tests: tuple[str, ...]) -> str:
        env = {**os.environ, "PYTHONPATH": f"{self.folder / _NAMES}{os.pathsep}{self.folder}", "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "pytest", *_OPTIONS, *tests]
        run = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, check=False)
        failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", run.stdout, re.MULTILINE)
        if run.returncode == _FAILED and failed:
            return failed[1]
        if run.returncode == _PASSED:
            return ""
        raise NoVerdict(f"pytest {' '.join(tests)} ended with {run.returncode}:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
