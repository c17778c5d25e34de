"""Reasoning of a model in chat completions: beside the answer, and back to the model within a loop of tools."""

from typing import Any

import openai
import pytest

MODEL = "gpt-4o-mini"
LOOK: Any = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
THINKS: Any = [{"role": "user", "content": "Well? [[think]]"}]


def test_it_stands_beside_the_answer(sdk: openai.OpenAI) -> None:
    completion = sdk.chat.completions.create(model=MODEL, messages=THINKS)
    message = completion.choices[0].message.to_dict()
    assert (message["reasoning_content"], message["content"]) == ("The question is: Well?", "You said: Well?")
    assert completion.usage
    assert completion.usage.completion_tokens_details
    assert completion.usage.completion_tokens_details.reasoning_tokens


def test_an_answer_without_it_has_no_such_field(sdk: openai.OpenAI) -> None:
    completion = sdk.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Well?"}])
    assert "reasoning_content" not in completion.choices[0].message.to_dict()


def test_it_comes_before_the_answer_in_a_stream(sdk: openai.OpenAI) -> None:
    asked: Any = [{"role": "user", "content": "Well? [[think tokens-per-second=40]]"}]
    chunks = list(sdk.chat.completions.create(model=MODEL, messages=asked, stream=True))
    told = [chunk.choices[0].delta.to_dict() for chunk in chunks]
    kinds = [
        "reasoning_content" if "reasoning_content" in delta else "content"
        for delta in told
        if delta.get("content") or "role" not in delta
    ][:-1]
    assert kinds == sorted(kinds, reverse=True)
    assert "".join(str(delta.get("reasoning_content", "")) for delta in told) == "The question is: Well?"
    assert "".join(str(delta.get("content", "")) for delta in told) == "You said: Well?"


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_a_loop_of_tools_with_it(sdk: openai.OpenAI, name: str) -> None:
    asked: Any = {"role": "user", "content": "Look. [[think]]\ncall look {}"}
    message = sdk.chat.completions.create(model=MODEL, messages=[asked], tools=[LOOK]).choices[0].message.to_dict()
    message[name] = message.pop("reasoning_content")
    calls: Any = message["tool_calls"]
    answer: Any = {"role": "tool", "tool_call_id": calls[0]["id"], "content": "a cat"}
    given: Any = [asked, message, answer]
    last = sdk.chat.completions.create(model=MODEL, messages=given, tools=[LOOK]).choices[0].message
    assert last.content == "look returned a cat"
