"""Whatever a request holds in the place of items and tools is read, or refused by name."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnstile.producers.gateway.edge.api_errors import ApiError
from turnstile.producers.gateway.items.given import chat_messages, split_question
from turnstile.producers.gateway.items.known import Known
from turnstile.producers.gateway.items.reading import read_items
from turnstile.producers.gateway.responses.continuation import sort_out
from turnstile.producers.gateway.responses.schemas import ResponseRequest
from turnstile.producers.gateway.responses.tools import read_choice, read_tools
from turnstile.turns.errors import InvalidTurn
from turnstile.turns.question import Options

LEAF = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
VALUE = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "type"]), inner)
)
PARTS = st.lists(st.fixed_dictionaries({"type": st.sampled_from(["input_text", "summary_text", "refusal"]), "text": VALUE}))
TYPES: list[Any] = [
    *("message", "function_call", "function_call_output", "mcp_approval_response", "reasoning", "item_reference", "mcp_call"),
    *("mcp_list_tools", "computer_call", None, 5, [], {}),
]
FIELDS = [
    *("id", "role", "content", "call_id", "name", "arguments", "output", "summary", "approve", "reason", "error"),
    "approval_request_id",
]
WORD = st.sampled_from(["user", "assistant", "a", "b", "msg_1"])
ITEM = st.fixed_dictionaries({"type": st.sampled_from(TYPES)}, optional=dict.fromkeys(FIELDS, WORD | VALUE | PARTS))
TOOL = st.dictionaries(
    st.sampled_from(["type", "name", "parameters", "strict", "async", "x"]), WORD | VALUE | st.just("function")
)
CHOICE = st.dictionaries(st.sampled_from(["type", "name", "mode", "tools"]), VALUE | st.sampled_from(["allowed_tools", "auto"]))


@settings(max_examples=150)
@given(items=st.lists(ITEM, max_size=5))
def test_items(items: list[Any]) -> None:
    with suppress(ApiError, InvalidTurn):
        brought = sort_out(read_items(items, "input"), Known({"1"}, {"a": "resp_1"}), ["a"])
        before, question = split_question(chat_messages([*brought.earlier, *brought.later]))
        Options(before=before, answers=brought.answers).encode()
        assert isinstance(question, str | list)


@settings(max_examples=150)
@given(tools=st.lists(TOOL, max_size=3), choice=st.sampled_from(["auto", "required"]) | CHOICE)
def test_tools(tools: list[Any], choice: Any) -> None:
    with suppress(ApiError, InvalidTurn):
        chosen, left = read_choice(choice, read_tools(tools))
        Options(tools=left, tool_choice=chosen).encode()


def test_types_that_are_no_tools_are_named_at_once() -> None:
    tools = [{"type": "web_search"}, {"type": "custom"}, {"type": "web_search"}]
    with pytest.raises(ApiError, match="custom, web_search") as refused:
        ResponseRequest(input="hi", tools=tools).options()
    assert refused.value.param == "tools[0].type"


def test_allowed_tools_are_the_only_ones_left() -> None:
    tools = read_tools([{"type": "function", "name": name} for name in ("f", "g")])
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "g"}]}
    choice, left = read_choice(allowed, tools)
    assert (choice, [tool["function"]["name"] for tool in left or ()]) == ("required", ["g"])
