"""A script's arguments: declared once, in the ARGV line of its header, and passed by name."""

import re
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

Word = str | int | float | bytes

_NONE = "(none)"
_LINE = re.compile(r"(.*?) ?(\w+…|\([\w ]+\)…|)")


class Arguments:
    """The names of `single` arguments, and of the `lists` after them, which take turns: `(ids tokens)…` is id token id token.

    An ARGV line reads `name name`, `name name…`, `name (name name)…` or `(none)`; what follows a colon explains it.
    """

    __slots__ = ("lists", "names", "script", "single")

    def __init__(self, script: str, line: str) -> None:
        """Read an ARGV line. Raises ValueError when it cannot be read, or holds a name twice."""
        line = line.partition(":")[0].strip()
        single, lists = _LINE.fullmatch(line).groups()  # type: ignore[union-attr]  # it matches any line
        self.script = script
        self.single = () if line == _NONE else tuple(single.split())
        self.lists = tuple(lists.strip("(…)").split())
        names = (*self.single, *self.lists)
        self.names = frozenset(names)
        if not line or not all(map(str.isidentifier, names)) or len(self.names) < len(names):
            raise ValueError(f"The ARGV line of script {script} is not a list of names: {line}")

    def preamble(self) -> str:
        """Return the Lua lines that bind every name: a value, or a table of values."""
        lines = []
        if self.single:
            lines.append(f"local {_row(self.single)} = {_row(f'ARGV[{place + 1}]' for place in range(len(self.single)))}")
        if self.lists:
            first, step = len(self.single) + 1, len(self.lists)
            places = _row("ARGV[i]" if place == 0 else f"ARGV[i + {place}]" for place in range(step))
            lines += [
                f"local {_row(self.lists)} = {_row('{}' for _ in self.lists)}",
                f"for i = {first}, #ARGV, {step} do",
                f"  local place = (i - {first}) / {step} + 1",
                f"  {_row(f'{name}[place]' for name in self.lists)} = {places}",
                "end",
            ]
        return "\n".join(lines)

    def ordered(self, given: Mapping[str, Any]) -> list[Word]:
        """Return arguments in the order of the header. Raises TypeError when one is missing, or has another name."""
        if given.keys() != self.names:
            raise TypeError(f"Script {self.script} takes {_row(sorted(self.names))}; given: {_row(sorted(given))}.")
        ordered = [given[name] for name in self.single]
        if self.lists:
            ordered.extend(chain.from_iterable(zip(*[given[name] for name in self.lists], strict=True)))
        return ordered


def _row(words: Iterable[str]) -> str:
    return ", ".join(words)
