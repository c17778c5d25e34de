"""The memory of an embedded server: half of the machine's, or of the least limit above this process."""

import os
from pathlib import Path

import pytest

from turnstile.deploy.local import memory

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "ours").write_text("0::/system.slice/turnstile.service\n")
    (tmp_path / "groups" / "system.slice" / "turnstile.service").mkdir(parents=True)
    monkeypatch.setattr(memory, "_OURS", tmp_path / "ours")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path / "groups")
    return tmp_path / "groups"


def test_half_of_the_machine_where_nothing_limits_us(groups: Path) -> None:
    (groups / "system.slice" / "memory.max").write_text("max\n")
    assert memory.half_of_memory() == MACHINE // 2


@pytest.mark.parametrize("where", ["", "system.slice", "system.slice/turnstile.service"])
def test_half_of_the_least_limit(groups: Path, where: str) -> None:
    (groups / where / "memory.max").write_text("1048576\n")
    assert memory.half_of_memory() == 524_288


def test_a_system_without_control_groups(groups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_OURS", groups / "nothing")
    assert memory.half_of_memory() == MACHINE // 2
