"""The libraries that pyproject.toml declares are those that each part imports."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.support.version_bounds import lowest, requirements
from turnstile.turns.extras import MODULES

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PROJECT["tool"]["setuptools"]
EXTRAS = PROJECT["project"]["optional-dependencies"]
# The extras whose libraries a part may import; the demo asks through the gateway as any OpenAI client does.
PARTS = {
    "package": (),
    "turns": ("tracing",),
    "memory": ("agents", "history"),
    "workers": ("agents", "mcp", "tracing", "worker"),
    "producers": ("cli", "gateway", "tracing", "worker"),
    "deploy": ("local",),
}
# Loaded by name: `--loop` and `--http` of uvicorn, starlette's forms, Celery's sub-command; and what users' chains import.
UNSEEN = {"flower", "httptools", "langchain", "langchain-mcp-adapters", "python-multipart", "uvloop"}
DISTRIBUTIONS: dict[str, set[str]] = {
    module: {canonicalize_name(name) for name in names} for module, names in packages_distributions().items()
}


def declared(*extras: str) -> set[str]:
    lines = [*PROJECT["project"]["dependencies"], *(line for extra in extras for line in EXTRAS[extra])]
    return {canonicalize_name(Requirement(line).name) for line in lines}


def imported(part: str) -> list[set[str]]:
    """Return the distributions of each module that a part imports: several share the package `langgraph`."""
    modules = {module for file in (ROOT / part).rglob("*.py") for module in _modules(ast.parse(file.read_text()))}
    third_party = {module for module in modules if module not in sys.stdlib_module_names and module != "turnstile"}
    return [DISTRIBUTIONS[module] for module in sorted(third_party)]


def _modules(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module).partition(".")[0]


@pytest.mark.parametrize("part", PARTS)
def test_a_part_imports_only_what_is_declared_for_it(part: str) -> None:
    undeclared = {name for names in imported(part) if not names & declared(*PARTS[part]) for name in names}
    shared = declared("gateway") & declared("worker") if part == "turns" else set()  # in modules that these two import
    assert undeclared - shared <= {"ormsgpack", "pydantic-core"}  # pydantic and LangGraph say which versions they work with


def test_nothing_is_declared_that_nobody_imports() -> None:
    used = UNSEEN.union(*(names for part in PARTS for names in imported(part)))
    assert declared(*MODULES) <= used


def test_all_is_every_extra_of_ours() -> None:
    (line,) = EXTRAS["all"]
    assert Requirement(line).extras == set(MODULES) == set(EXTRAS) - {"all", "build", "dev", "web"}


@pytest.mark.parametrize("extra", MODULES)
def test_the_modules_that_are_looked_for_are_those_of_the_extra(extra: str) -> None:
    found = [DISTRIBUTIONS[module.partition(".")[0]] for module in MODULES[extra]]
    looked_for = set().union(*found)
    assert all(names & declared(extra) for names in found)
    assert declared(extra) - declared() - looked_for <= {"kombu", "starlette"}  # come with celery and fastapi


def test_every_folder_with_code_is_in_the_wheel() -> None:
    folders = {folder: name for name, folder in SETUPTOOLS["package-dir"].items()}
    packages = {
        ".".join([folders[part], *file.parent.relative_to(ROOT / part).parts])
        for part in folders
        for file in (ROOT / part).rglob("__init__.py")
    }
    assert set(SETUPTOOLS["packages"]) == packages


def test_the_makefile_links_every_part() -> None:
    names = ROOT / ".venv" / "names" / "turnstile"
    links = {link.name: link.resolve() for link in names.iterdir() if link.is_symlink()}
    parts = {name.removeprefix("turnstile."): ROOT / part for name, part in SETUPTOOLS["package-dir"].items() if "." in name}
    assert links == {**parts, **{name: ROOT / "package" / name for name in ("__init__.py", "py.typed")}}


def test_every_library_has_one_lower_bound_which_the_locked_version_is_not_below() -> None:
    bounds: dict[str, set[str]] = {}
    for requirement in requirements():
        bounds.setdefault(requirement.name, set()).add(lowest(requirement))
    assert {name: found for name, found in bounds.items() if len(found) > 1 or "" in found} == {}
    for name, (bound,) in bounds.items():
        assert Version(version(name)) >= Version(bound)
