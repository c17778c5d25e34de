"""LangChain's ChatOpenAI as a client of the gateway, over the Responses API."""

from typing import Any

import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from tests.integration.conftest import Stack


@pytest.fixture
def options(stack: Stack) -> dict[str, Any]:
    """Return the options of a model that is the gateway."""
    return {"base_url": f"{stack.gateway.url}/v1", "api_key": SecretStr("none"), "model": "gpt-4o-mini", "max_retries": 0}


@pytest.fixture
def model(options: dict[str, Any]) -> ChatOpenAI:
    """Chained by previous_response_id."""
    return ChatOpenAI(**options, use_responses_api=True, use_previous_response_id=True)


def test_chained(model: ChatOpenAI) -> None:
    messages: list[Any] = [SystemMessage("Be kind."), HumanMessage("Hi! I'm bob")]
    first = model.invoke(messages)
    assert isinstance(first, AIMessage)
    assert first.text == "Hello Bob! How can I help you today?"
    assert first.response_metadata["id"].startswith("resp_")
    assert first.usage_metadata
    assert first.usage_metadata["total_tokens"] > 0
    second = model.invoke([*messages, first, HumanMessage("What's my name?")])
    assert second.text == "Your name is Bob."


def test_whole_messages(options: dict[str, Any]) -> None:
    model = ChatOpenAI(**options, use_responses_api=True)
    first = model.invoke([HumanMessage("I'm mia")])
    second = model.invoke([HumanMessage("I'm mia"), first, HumanMessage("What's my name?")])
    assert second.text == "Your name is Mia."


def test_streamed(model: ChatOpenAI) -> None:
    pieces = list(model.stream("one two three four five six seven eight [[tokens-per-second=20]]"))
    assert "".join(piece.text for piece in pieces) == "You said: one two three four five six seven eight"
    assert len([piece for piece in pieces if piece.text]) > 2


def test_chat_completions(options: dict[str, Any]) -> None:
    model = ChatOpenAI(**options, use_responses_api=False)
    history = [SystemMessage("Be kind."), HumanMessage("I'm noa"), AIMessage("Hello!"), HumanMessage("What's my name?")]
    assert model.invoke(history).text == "Your name is Noa."
    assert "".join(piece.text for piece in model.stream(history)) == "Your name is Noa."


def test_what_fails_is_an_error(model: ChatOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="refuses the request"):
        model.invoke("break [[fail=400]]")
    with pytest.raises(ValueError, match="invalid_prompt"):
        list(model.stream("break [[fail=400]]"))
