"""A mutant that makes the tests hang is caught, unless they hang without it."""

from pathlib import Path

import pytest

from tests.mutants.mutant import Mutant
from tests.mutants.trial import NoVerdict, Project

_TESTS = """
import time
import turns.code

def test_it():
    while turns.code.VALUE == "hangs":
        time.sleep(0.01)
    assert turns.code.VALUE == "right"
"""


def _project(tmp_path: Path, limit: float) -> Project:
    root = tmp_path / "root"
    for folder in ("turns", "memory", "workers", "producers", "deploy", "package", "tests", ".venv/names"):
        (root / folder).mkdir(parents=True)
    root.joinpath("pyproject.toml").touch()
    root.joinpath("turns", "code.py").write_text('VALUE = "right"\n')
    root.joinpath("tests", "test_it.py").write_text(_TESTS)
    return Project(tmp_path / "copy", root, limit=limit)


def _mutant(value: str) -> Mutant:
    return Mutant("spoiled", "it", "turns/code.py", '"right"', f'"{value}"', ("tests/test_it.py",))


@pytest.mark.parametrize(
    ("value", "caught_by"),
    [("wrong", "tests/test_it.py::test_it"), ("hangs", "a hang in tests/test_it.py"), ("right", "")],
)
def test_a_mutant_is_caught_by_a_failure_or_a_hang(tmp_path: Path, value: str, caught_by: str) -> None:
    project = _project(tmp_path, limit=20)
    project.assert_sound(("tests/test_it.py",))
    assert project.judge(_mutant(value)).caught_by == caught_by
    assert project.folder.joinpath("turns", "code.py").read_text() == 'VALUE = "right"\n'


def test_a_hang_that_needs_no_mutant_is_no_verdict(tmp_path: Path) -> None:
    project = _project(tmp_path, limit=1)
    project.folder.joinpath("turns", "code.py").write_text('VALUE = "hangs"  # not "right"\n')
    with pytest.raises(NoVerdict, match=r"without any mutant: a hang in tests/test_it\.py"):
        project.judge(_mutant("hangs"))
