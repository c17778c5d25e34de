"""The lowest versions that pyproject.toml allows, as constraints for pip: `python -m tests.support.version_bounds lowest`.

`newest` gives none: pip then takes the newest that the bounds allow.
"""

import sys
import tomllib
from collections.abc import Iterator

from packaging.requirements import Requirement

from tests.support.processes import ROOT

_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
_NOT_OURS = ("all", "build", "dev", "web")


def requirements() -> Iterator[Requirement]:
    """Yield what the package and its extras need."""
    extras = _PROJECT["optional-dependencies"]
    lines = [line for name, lines in extras.items() if name not in _NOT_OURS for line in lines]
    yield from map(Requirement, [*_PROJECT["dependencies"], *lines])


def lowest(requirement: Requirement) -> str:
    """Return a requirement's lower bound; empty if it has none."""
    return next((one.version for one in requirement.specifier if one.operator == ">="), "")


def main(arguments: list[str]) -> None:
    """Write the constraints of the lowest versions, or none."""
    found = {requirement.name: lowest(requirement) for requirement in requirements()}
    if arguments == ["lowest"]:
        sys.stdout.writelines(f"{name}=={version}\n" for name, version in sorted(found.items()))


if __name__ == "__main__":
    main(sys.argv[1:])
