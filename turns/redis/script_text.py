"""The text of a script as the server gets it: no comments, constants where they are used, parts where they are needed.

A server runs the whole text anew for each call, and makes each function that it comes to. So a part that one other alone leads
to stands inside that one, and is not made before that is called.
"""

import re
from collections.abc import Collection, Mapping
from functools import cache

_COMMENT = re.compile(r"(?m)^\s*--.*\n?")
_CALL = re.compile(r"(?<!function )(?<![.:\w])([a-z_]\w*)\(")
_CONSTANT = re.compile(r"(?<![.\w])(?:key|rule)\.\w+")
_BLANK = re.compile(r"@(\w+)@")


@cache
def code(text: str) -> str:
    """Return a text without its comments."""
    return _COMMENT.sub("", text)


def calls(text: str, parts: Collection[str]) -> list[str]:
    """Return the parts that a text calls, in order, each once."""
    return [name for name in _called(text) if name in parts]


@cache
def _called(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_CALL.findall(code(text))))


def filled(text: str, values: Mapping[str, int | str]) -> str:
    """Return a text with the values of its constants, such as `key.due` and `rule.grace`. Raises KeyError when one has none."""
    return _CONSTANT.sub(lambda found: _literal(values[found[0]]), text)


def nested(body: str, parts: Mapping[str, str]) -> str:
    """Return a script's text after its parts, each of which is inside the one that alone leads to it.

    `parts` are in an order in which each calls only those before it. Each is one function.
    """
    homes = _homes({**parts, "": body})

    def around(name: str) -> str:
        return "".join(part(other) for other in parts if homes[other] == name)

    def part(name: str) -> str:
        head, rest = code(parts[name]).split("\n", 1)
        return f"{head}\n{around(name)}{rest}"

    return around("") + code(body)


def _homes(texts: Mapping[str, str]) -> dict[str, str]:
    """Return for each part the one that alone leads to it: empty for the script, whose text is the last."""
    called = {name: set(calls(text, texts)) for name, text in texts.items()}
    homes: dict[str, str] = {}
    for part in list(texts)[-2::-1]:
        ways = [_way(name, homes) for name, others in called.items() if part in others]
        homes[part] = next(name for name in ways[0] if all(name in way for way in ways))
    return homes


def _way(name: str, homes: Mapping[str, str]) -> list[str]:
    """Return a part and those around it, from the innermost to the script."""
    return [name, *_way(homes[name], homes)] if name else [name]


def _literal(value: int | str) -> str:
    """Return a value as Lua writes it. A blank in it, such as @id@, is the field of that name in the table `names`."""
    if isinstance(value, int):
        return str(value)
    pieces = (f"names.{piece}" if place % 2 else _quoted(piece) for place, piece in enumerate(_BLANK.split(value)))
    return f"({' .. '.join(pieces)})"


def _quoted(text: str) -> str:
    return f"[==[{text}]==]" if {'"', "\\"} & set(text) else f'"{text}"'
