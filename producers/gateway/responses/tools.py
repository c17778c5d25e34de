"""The tools of a request, and its choice among them: the Responses API's form ↔ that of turns."""

from collections.abc import Mapping
from typing import Any

from turnstile.producers.gateway.edge.api_errors import ApiError, invalid, unsupported
from turnstile.turns.question import Options

Tool = dict[str, Any]
Choice = str | dict[str, Any] | None

_FIELDS = ("name", "description", "parameters", "strict")
_IDLE: dict[str, tuple[Any, ...]] = {
    "type": ("function",),
    "async": (False,),
    "allowed_callers": (["direct"], []),
    "defer_loading": (False,),
}
"""Fields of a function that a turn does not know, with the values that ask for nothing."""
_IGNORED = ("output_schema",)


def functions(tools: list[Tool]) -> list[Tool]:
    """Return the functions among tools, which alone are offered to the model. Raises ApiError if there are only others."""
    found = [tool for tool in tools if tool.get("type") == "function"]
    if tools and not found:
        strange = sorted({str(tool.get("type"))[:64] for tool in tools})
        message = f"Tools of these types are not supported: {', '.join(strange[:20])}. Functions are."
        raise invalid("tools[0].type", message, "unsupported_value")
    return found


def read_tools(tools: list[Tool]) -> list[Tool] | None:
    """Return functions in the form of chat completions."""
    return [{"type": "function", "function": _function(tool, f"tools[{n}]")} for n, tool in enumerate(tools)] or None


def _function(tool: Tool, param: str) -> Tool:
    for name, value in tool.items():
        known = name in _FIELDS or name in _IGNORED or value is None or value in _IDLE.get(name, ())
        if not known:
            raise unsupported(f"{param}.{name[:64]}")
    return {name: tool[name] for name in _FIELDS if tool.get(name) is not None}


def read_choice(choice: Choice, tools: list[Tool] | None) -> tuple[Choice, list[Tool] | None]:
    """Return a choice in the form of chat completions, and the tools that are left to choose from."""
    if not isinstance(choice, dict):
        return choice, tools
    kind = choice.get("type")
    if kind == "function":
        return {"type": "function", "function": {"name": choice.get("name")}}, tools
    if kind != "allowed_tools":
        raise _unknown_choice("type")
    if choice.get("mode") not in ("auto", "required"):
        raise _unknown_choice("mode")
    return choice["mode"], _allowed(choice.get("tools"), tools or [])


def _allowed(named: Any, tools: list[Tool]) -> list[Tool]:
    if not isinstance(named, list) or not all(isinstance(one, dict) for one in named):
        raise _unknown_choice("tools")
    names = [one.get("name") for one in named if one.get("type") == "function"]
    allowed = [tool for tool in tools if tool["function"].get("name") in names]
    if not allowed or len(names) < len(named):
        raise invalid("tool_choice.tools", "`tool_choice.tools` must name functions among `tools`.", "invalid_value")
    return allowed


def _unknown_choice(field: str) -> ApiError:
    param = f"tool_choice.{field}"
    return invalid(param, f"`{param}`: a choice is a word, a function, or `allowed_tools` with a mode.", "unsupported_value")


def shown_tools(options: Options) -> list[Tool]:
    """Return the functions of a turn as its request gave them."""
    given: list[Tool] | None = options.request.get("tools")
    return given or [_shown(tool["function"]) for tool in options.tools or ()]


def _shown(function: Mapping[str, Any]) -> Tool:
    return {"type": "function", **{name: function.get(name) for name in _FIELDS}}
