"""`turnstile`, as others import it."""

import ast
import importlib
import subprocess
import sys
from inspect import isclass
from pathlib import Path

import pytest

import turnstile
from tests.support.processes import environment
from turnstile.turns import errors
from turnstile.turns.extras import MODULES

ROOT = Path(__file__).parents[2]
FACE = ast.parse((ROOT / "package" / "__init__.py").read_text())


def loaded_by(statement: str) -> set[str]:
    script = f"import sys; {statement}; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True).stdout.split())


@pytest.mark.parametrize("name", turnstile.__all__)
def test_every_name_is_what_type_checkers_see(name: str) -> None:
    homes = {alias.name: node.module for node in ast.walk(FACE) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert getattr(turnstile, name) is getattr(importlib.import_module(str(homes[name])), name)
    assert name in dir(turnstile)


def test_every_error_has_a_name_there() -> None:
    tree = {name for name, value in vars(errors).items() if isclass(value) and issubclass(value, errors.TurnstileError)}
    assert tree <= set(turnstile.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'ChatServer'"):
        turnstile.ChatServer  # noqa: B018


def test_importing_it_imports_nothing_else() -> None:
    assert {name for name in loaded_by("import turnstile") if name.startswith("turnstile")} == {"turnstile"}


@pytest.mark.parametrize("name", ["ChatClient", "AsyncChatClient", "TurnFailed", "Settings"])
def test_who_asks_loads_no_library_of_an_extra(name: str) -> None:
    loaded = loaded_by(f"from turnstile import {name}")
    assert not loaded & {module for modules in MODULES.values() for module in modules}


def test_the_apps_old_name_in_a_checkout_is_the_same_app() -> None:
    script = "import workers.app, turnstile; print(workers.app.app is turnstile.app)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment({}), capture_output=True, text=True)
    assert done.stdout == "True\n", done.stderr
