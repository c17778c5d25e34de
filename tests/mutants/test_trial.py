"""A mutant that makes the tests hang is caught, unless they hang without it."""

from pathlib import Path

import pytest

from tests.mutants import trial
from tests.mutants.mutant import Mutant
from tests.mutants.trial import NoVerdict, Project

# As code in C does, the hang keeps pytest's own limit out.
_TESTS = """
import signal
import time
import turns.code

def test_it():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    while turns.code.VALUE == "hangs":
        time.sleep(0.01)
    assert turns.code.VALUE == "right"
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setattr(trial, "_SPARE_SECONDS", 1.0)
    root = tmp_path / "root"
    for folder in ("turns", "memory", "workers", "producers", "deploy", "package", "tests", ".venv/names"):
        (root / folder).mkdir(parents=True)
    root.joinpath("pyproject.toml").touch()
    root.joinpath("turns", "code.py").write_text('VALUE = "right"\n')
    root.joinpath("tests", "test_it.py").write_text(_TESTS)
    return Project(tmp_path / "copy", {}, root)


_WHERE = """
import subprocess
import sys
from pathlib import Path

from tests.support.processes import environment, launch

def test_it():
    command = [sys.executable, "-c", "import turnstile.workers; print(turnstile.workers.__file__)"]
    with launch(command, env=environment({}), stdout=subprocess.PIPE, text=True) as process:
        found, _ = process.communicate()
    assert Path(found).is_relative_to(Path(__file__).parents[1])
"""


def _mutant(value: str) -> Mutant:
    return Mutant("spoiled", "it", "turns/code.py", '"right"', f'"{value}"', ("tests/test_it.py",))


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("value", "caught_by"),
    [("wrong", "tests/test_it.py::test_it"), ("hangs", "a hang in tests/test_it.py"), ("right", "")],
)
def test_a_mutant_is_caught_by_a_failure_or_a_hang(project: Project, value: str, caught_by: str) -> None:
    project.assert_sound(("tests/test_it.py",))
    assert project.judge(_mutant(value)).caught_by == caught_by
    assert project.folder.joinpath("turns", "code.py").read_text() == 'VALUE = "right"\n'


def test_a_hang_that_needs_no_mutant_is_no_verdict(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_LONGEST_SECONDS", 1.0)
    project.folder.joinpath("turns", "code.py").write_text('VALUE = "hangs"  # not "right"\n')
    with pytest.raises(NoVerdict, match=r"without any mutant: a hang in tests/test_it\.py"):
        project.judge(_mutant("hangs"))


@pytest.mark.timeout(600)
def test_a_mutant_is_in_the_processes_that_its_tests_start(tmp_path: Path) -> None:
    project = Project(tmp_path / "copy", {})
    project.folder.joinpath("tests", "test_where.py").write_text(_WHERE)
    project.assert_sound(("tests/test_where.py",))
