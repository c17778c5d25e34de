"""Tools that a caller brings to a turn, in the form of OpenAI's chat completions."""

import re
from typing import Any

from turnstile.turns.errors import InvalidTurn

MOST_TOOLS = 128
"""Tools of one turn; OpenAI takes as many."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CHOICES = ("auto", "none", "required")
_FIELDS: dict[str, tuple[type, str]] = {
    "name": (str, "text"),
    "description": (str, "text"),
    "parameters": (dict, "an object"),
    "strict": (bool, "true or false"),
}


def check_tools(tools: list[Any]) -> None:
    """Raise InvalidTurn, naming the place, if these are no tools. Their names are the caller's, and not quoted."""
    if len(tools) > MOST_TOOLS:
        raise _invalid("tools", f"must be {MOST_TOOLS} tools at most; there are {len(tools)}")
    for place, tool in enumerate(tools):
        _check_tool(tool, f"tools[{place}]")
    if len({tool["function"]["name"] for tool in tools}) < len(tools):
        raise _invalid("tools", "must be tools of different names")


def check_choice(choice: str | dict[str, Any], tools: list[Any]) -> None:
    """Raise InvalidTurn if this chooses among none of the tools, which have been checked."""
    if isinstance(choice, str):
        if choice not in _CHOICES:
            raise _invalid("tool_choice", f"must be {', '.join(_CHOICES)}, or an object that names a function")
        if not tools and choice == "required":
            raise _invalid("tool_choice", "must not be `required` without `tools`")
        return
    function = choice.get("function") if isinstance(choice, dict) and choice.get("type") == "function" else None
    if not isinstance(function, dict):
        raise _invalid("tool_choice", 'must be a word, or {"type": "function", "function": {"name": …}}')
    if function.get("name") not in [tool["function"]["name"] for tool in tools]:
        raise _invalid("tool_choice", "must name one of `tools`")


def _check_tool(tool: Any, param: str) -> None:
    function = tool.get("function") if isinstance(tool, dict) and tool.get("type") == "function" else None
    if not isinstance(function, dict):
        raise _invalid(param, 'must be {"type": "function", "function": {"name": …}}')
    name = function.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _invalid(f"{param}.function.name", "must be 1 to 64 letters, digits, _ and -")
    for field, value in function.items():
        if field not in _FIELDS:
            raise _invalid(f"{param}.function", f"must have no fields beside {', '.join(_FIELDS)}")
        kind, what = _FIELDS[field]
        if value is not None and not isinstance(value, kind):
            raise _invalid(f"{param}.function.{field}", f"must be {what}")


def _invalid(param: str, what: str) -> InvalidTurn:
    return InvalidTurn(f"`{param}` {what}.", param=param)
