"""Messages as callers give them become LangChain's."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from turnstile.memory.element import REASONING
from turnstile.memory.given import given_messages


def call(id: str, arguments: Any) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": "look", "arguments": arguments}}


def test_plain_messages() -> None:
    given = [{"role": "system", "content": "s"}, {"role": "user", "content": "u", "name": "ann"}]
    assert given_messages(given) == [SystemMessage("s"), HumanMessage("u", name="ann")]


def test_calls_and_their_answers() -> None:
    [asked, answer] = given_messages(
        [
            {"role": "assistant", "content": None, "tool_calls": [call("a", '{"at":"x"}'), call("b", "")], REASONING: "hm"},
            {"role": "tool", "content": "done", "tool_call_id": "a"},
        ]
    )
    assert isinstance(asked, AIMessage)
    assert [(one["id"], one["args"]) for one in asked.tool_calls] == [("a", {"at": "x"})]
    assert [(one["id"], one["args"]) for one in asked.invalid_tool_calls] == [("b", "")]
    assert asked.additional_kwargs == {REASONING: "hm"}
    assert answer == ToolMessage("done", tool_call_id="a")


@pytest.mark.parametrize("arguments", ["{broken", "[1]", '"text"', "7"])
def test_arguments_that_are_no_object_stay_as_they_are(arguments: str) -> None:
    [asked] = given_messages([{"role": "assistant", "content": "", "tool_calls": [call("a", arguments)]}])
    assert isinstance(asked, AIMessage)
    assert (asked.tool_calls, asked.invalid_tool_calls[0]["args"]) == ([], arguments)


def test_calls_in_langchains_own_form() -> None:
    own = {"name": "look", "args": {"at": "x"}, "id": "a", "type": "tool_call"}
    [asked] = given_messages([{"role": "assistant", "content": "", "tool_calls": [own]}])
    assert isinstance(asked, AIMessage)
    assert asked.tool_calls == [own]
