"""A short storm with a fixed seed; `make chaos` runs the long one."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.__main__ import replay
from tests.chaos.faults import Kind
from tests.chaos.result import run
from tests.chaos.scene import Size
from tests.support.processes import offline_model

SEED = 1
# Killing everything takes as long as all else together, and has its place in the long run.
SHORT = Size(faults=34, seconds=25, workers=3, producers=2, sessions=6)


def _clean(seed: int, size: Size, folder: Path) -> None:
    with offline_model() as model_url:
        result = run(seed, size, folder, model_url)
    assert result.findings.clean, f"{result.findings}\nagain with: {replay(seed, size)}"
    assert result.turns > 0
    assert sum(result.faults.values()) >= size.faults // 2


@pytest.mark.timeout(400)
def test_nothing_is_lost_doubled_or_misordered_in_a_storm(tmp_path: Path) -> None:
    _clean(SEED, replace(SHORT, only=tuple(kind for kind in Kind if kind is not Kind.KILL_ALL)), tmp_path)
