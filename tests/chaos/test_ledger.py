"""A short ledger storm with a fixed seed; `make reliability` runs the long one."""

from pathlib import Path

import pytest

from tests.chaos.ledger import KINDS, run
from tests.chaos.scene import Size


@pytest.mark.timeout(400)
def test_each_approved_call_pays_once_whatever_dies(tmp_path: Path) -> None:
    outcome = run(1, Size(faults=len(KINDS), seconds=20, workers=3, sessions=4), tmp_path)
    assert outcome.wrong == []
    assert outcome.approved > 0
    assert sum(outcome.faults.values()) >= len(KINDS) // 2
