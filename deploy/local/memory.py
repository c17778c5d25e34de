"""The memory that an embedded server may take."""

import os
from collections.abc import Iterator
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_OURS = Path("/proc/self/cgroup")


def half_of_memory() -> int:
    """Return half of the memory of this machine, or of the container or unit that we run in, in bytes."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_limits()]) // 2


def _limits() -> Iterator[int]:
    """Yield the limits of our control group and of those above it."""
    try:
        group = _GROUPS / _OURS.read_text().splitlines()[-1].rpartition("::")[2].lstrip("/")
    except (OSError, IndexError):
        return
    for folder in (group, *group.parents):
        if folder.is_relative_to(_GROUPS):
            yield from _limit(folder / "memory.max")


def _limit(file: Path) -> Iterator[int]:
    try:
        yield int(file.read_text())
    except (OSError, ValueError):  # no such group, or no limit ("max")
        return
