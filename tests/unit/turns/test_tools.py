"""Tools that a caller brings: those in OpenAI's form are taken, and anything else is refused by its place."""

from typing import Any

import pytest

from turnstile.turns.errors import InvalidTurn
from turnstile.turns.question import Options
from turnstile.turns.tools import MOST_TOOLS


def tool(name: Any = "pay", **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **more}}


NAMED = {"type": "function", "function": {"name": "pay"}}


@pytest.mark.parametrize(
    "options",
    [
        {"tools": [tool()]},
        {"tools": [tool(description="Pay", parameters={"type": "object"}, strict=True), tool("look-at_2", strict=None)]},
        {"tools": [tool()], "tool_choice": "required", "parallel_tool_calls": False},
        {"tools": [tool()], "tool_choice": NAMED},
        {"tools": [], "tool_choice": "auto"},
        {"tool_choice": "none"},
    ],
)
def test_tools_come_back_as_they_were(options: dict[str, Any]) -> None:
    assert Options.decode(Options(**options).encode()) == Options(**options)


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"tools": tool()}, "tools"),
        ({"tools": ["pay"]}, "tools[0]"),
        ({"tools": [tool(), {"type": "web_search"}]}, "tools[1]"),
        ({"tools": [{"type": "function", "name": "pay"}]}, "tools[0]"),
        ({"tools": [tool("")]}, "tools[0].function.name"),
        ({"tools": [tool("p" * 65)]}, "tools[0].function.name"),
        ({"tools": [tool("pay now")]}, "tools[0].function.name"),
        ({"tools": [tool(7)]}, "tools[0].function.name"),
        ({"tools": [tool(parameters="{}")]}, "tools[0].function.parameters"),
        ({"tools": [tool(strict="yes")]}, "tools[0].function.strict"),
        ({"tools": [tool(secret="x")]}, "tools[0].function"),
        ({"tools": [tool(), tool()]}, "tools"),
        ({"tools": [tool(f"pay{n}") for n in range(MOST_TOOLS + 1)]}, "tools"),
        ({"tools": [tool()], "tool_choice": "pay"}, "tool_choice"),
        ({"tools": [tool()], "tool_choice": tool("look")}, "tool_choice"),
        ({"tools": [tool()], "tool_choice": {"type": "function", "name": "pay"}}, "tool_choice"),
        ({"tools": [tool()], "tool_choice": 7}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": NAMED}, "tool_choice"),
        ({"parallel_tool_calls": 1}, "parallel_tool_calls"),
    ],
)
def test_anything_else_is_refused_by_its_place(options: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidTurn) as refused:
        Options(**options)
    assert refused.value.param == param
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("default", [float("nan"), object(), "\ud83d"])
def test_a_schema_that_is_no_json_is_refused(default: Any) -> None:
    with pytest.raises(InvalidTurn):
        Options(tools=[tool(parameters={"default": default})]).encode()
