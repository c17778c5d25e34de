"""The Procfile: the commands that make up Turnstile, read by everything that starts them.

    python -m turnstile.deploy.procfile worker

becomes the command of that name, with this installation's programs first on the PATH: for containers and systemd.
"""

import os
import re
import sys
from importlib.metadata import files
from pathlib import Path

from turnstile.turns.errors import SettingError

_LINE = re.compile(r"([A-Za-z0-9_-]+):\s*(\S.*)")


def parse(text: str) -> dict[str, str]:
    """Return process type → shell command; blank lines and lines that begin with `#` are skipped.

    Raises:
        SettingError: a line is not `name: command`.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if not match:
            raise SettingError(f"Procfile, line {number}: write `name: command`.")
        found[match[1]] = match[2]
    return found


def path() -> Path:
    """Return the path of this installation's Procfile: beside the packages in a checkout, else where pip has put it."""
    beside = Path(__file__).resolve().parents[1] / "Procfile"
    if beside.is_file():
        return beside
    return Path(next(file for file in files("turnstile") or () if file.name == "Procfile").locate())


def commands() -> dict[str, str]:
    """Return the commands of the Procfile that came with this installation."""
    return parse(path().read_text(encoding="utf-8"))


def command(name: str) -> str:
    """Return one command of the Procfile.

    Raises:
        SettingError: it has none of that name.
    """
    available = commands()
    if name not in available:
        raise SettingError(f"The Procfile has no command {name!r}, only {', '.join(available)}.")
    return available[name]


def argv(line: str) -> list[str]:
    """Return the arguments that run a command line: a shell expands its variables, and becomes the program."""
    return ["/bin/sh", "-c", f"exec {line}"]


def search_path() -> str:
    """PATH, this installation's programs first."""
    return os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()])


def main(arguments: list[str]) -> None:
    """Become the command that the only argument names."""
    try:
        program = argv(command(" ".join(arguments)))
    except SettingError as error:
        raise SystemExit(str(error)) from None
    os.execve(program[0], program, {**os.environ, "PATH": search_path()})  # noqa: S606  # the Procfile's own commands


if __name__ == "__main__":
    main(sys.argv[1:])
