"""Turnstile as its users have it: a wheel, installed into a project of somebody else's."""

import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from tests.support.processes import ROOT, environment

_PARTS = ("package", "turns", "memory", "workers", "producers", "deploy", "pyproject.toml", "README.md", "LICENSE", "Procfile")
_PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


def build_wheel(folder: Path) -> Path:
    """Build the wheel from a copy that holds nothing but what it is made of."""
    source = folder / "source"
    source.mkdir()
    for name in _PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name)
    subprocess.run([*_PIP, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, source], check=True)
    shutil.rmtree(source)
    (wheel,) = folder.glob("turnstile-*.whl")
    return wheel


@dataclass(frozen=True)
class Project:
    """A folder with a virtual environment of its own, and nothing of this checkout on its path."""

    folder: Path

    @property
    def bin(self) -> Path:
        """The environment's programs."""
        return self.folder / ".venv" / "bin"

    @property
    def site(self) -> Path:
        """The environment's libraries."""
        (found,) = (self.folder / ".venv").glob("lib/python*/site-packages")
        return found

    def environment(self, **extra: str) -> dict[str, str]:
        """Variables for its processes."""
        return {name: value for name, value in environment(extra).items() if name != "PYTHONPATH"}

    def run(self, *command: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """Run one of its programs in its folder, to the end."""
        program = [str(self.bin / command[0]), *command[1:]]
        env = self.environment(**extra)
        return subprocess.run(program, cwd=self.folder, env=env, capture_output=True, text=True, timeout=120, check=False)

    def python(self, *lines: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """Run Python lines in its folder."""
        return self.run("python", "-c", "\n".join(lines), **extra)


def new_project(folder: Path, wheel: Path, files: dict[str, str]) -> Project:
    """Make a project of these files, with the wheel installed and no other library."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    venv.create(folder / ".venv", symlinks=True)
    project = Project(folder)
    subprocess.run([*_PIP, "--python", project.bin / "python", "install", "-q", "--no-index", "--no-deps", wheel], check=True)
    return project


def with_all_libraries(project: Project) -> None:
    """Lend it all of this environment's libraries, but not this checkout: files there that end in .pth are not read."""
    here = [path for path in sys.path if Path(path).name == "site-packages"]
    (project.site / "libraries.pth").write_text("\n".join(here))


def with_libraries_of(project: Project, *extras: str) -> None:
    """Lend it exactly the libraries that the wheel asks for with these extras."""
    (installed,) = (Distribution.at(info) for info in project.site.glob("turnstile-*.dist-info"))
    for name in sorted(_closure(installed.requires or (), {"", *extras})):
        for top in _tops(distribution(name)):
            if not (project.site / top.name).exists():
                (project.site / top.name).symlink_to(top)


def _closure(requirements: Iterable[str], extras: set[str]) -> set[str]:
    found: set[str] = set()
    waiting: list[tuple[Iterable[str], set[str]]] = [(requirements, extras)]
    while waiting:
        for requirement in _wanted(*waiting.pop()):
            if requirement.name not in found:
                found.add(requirement.name)
                waiting.append((distribution(requirement.name).requires or (), {"", *requirement.extras}))
    return found


def _wanted(requirements: Iterable[str], extras: set[str]) -> Iterator[Requirement]:
    for requirement in map(Requirement, requirements):
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            yield requirement


def _tops(library: Distribution) -> set[Path]:
    names = {file.parts[0] for file in library.files or () if file.parts[0] not in ("..", "__pycache__")}
    root: Any = library.locate_file("")
    return {Path(root) / name for name in names}
