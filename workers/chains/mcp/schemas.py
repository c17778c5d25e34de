"""Schemas of a server's tools, which LangChain writes out in full at each call of a model, following every `$ref`."""

from collections.abc import Iterable, Iterator
from typing import Any

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from turnstile.turns.bounds import MOST_DEPTH
from turnstile.turns.text import dumps
from turnstile.workers.chains.mcp.reading import BrokenAnswer

MOST_TOOLS_BYTES = 262_144
"""Of all tools of one server, as a model is told of them; a client's may be as large."""
_MOST_PARTS = 10_000
"""Lists and objects in one schema, counted wherever a `$ref` repeats them."""
_NOT_READABLE = "The schema of a tool cannot be read."


def check_schemas(tools: Iterable[BaseTool]) -> None:
    """Raise BrokenAnswer for schemas that are none, or larger than any."""
    size = 0
    for tool in tools:
        _check_parts(tool.args_schema)
        size += len(dumps(_told(tool)))
        if size > MOST_TOOLS_BYTES:
            raise BrokenAnswer(f"The tools have more than {MOST_TOOLS_BYTES:,} bytes of schemas and descriptions.")


def _told(tool: BaseTool) -> dict[str, Any]:
    try:
        return convert_to_openai_tool(tool)
    except Exception:
        raise BrokenAnswer(_NOT_READABLE) from None


def _check_parts(schema: Any) -> None:
    count, left = 1, [(schema, frozenset[str]())]
    while left:
        part, within = left.pop()
        inner = list(_inside(part, schema, within))
        count += len(inner)
        if count > _MOST_PARTS or len(within) > MOST_DEPTH:
            raise BrokenAnswer("The schema of a tool is larger than any, written out in full.")
        left += inner


def _inside(part: Any, schema: Any, within: frozenset[str]) -> Iterator[tuple[Any, frozenset[str]]]:
    if isinstance(part, dict) and "$ref" in part:
        target, place = _at(part["$ref"], schema), part["$ref"]
        if place not in within:
            yield target, within | {place}
    for value in part.values() if isinstance(part, dict) else part:
        if isinstance(value, dict | list):
            yield value, within


def _at(place: str, schema: Any) -> Any:
    try:
        start, *names = place.split("/")
        if start == "#":
            for name in names:
                schema = schema[int(name)] if isinstance(schema, list) else schema[name]
            if isinstance(schema, dict | list):
                return schema
    except (LookupError, TypeError, ValueError, AttributeError):
        pass
    raise BrokenAnswer(_NOT_READABLE)
