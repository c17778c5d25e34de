"""Tool loops of clients, each in its own way: openai-python's runner and parser, LangChain's agents."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai.lib._tools import pydantic_responses_function_tool
from openai.lib.responses_tool_runner import RegisteredFunction, ResponsesToolRunner
from pydantic import BaseModel, SecretStr

from tests.integration.conftest import Stack
from tests.integration.gateway.test_tools import ASK, BOTH, LOOK, PAY
from tests.support.gateways import Gateway
from turnstile.turns.api_keys import NewKey, new_key


class pay(BaseModel):  # noqa: N801  # the function's name
    """Pay an amount."""

    amount: int


@pytest.mark.parametrize("stream", [False, True])
def test_the_runner_of_openai_python(sdk: openai.OpenAI, stream: bool) -> None:
    run: list[Any] = []

    def execute(arguments: dict[str, object]) -> str:
        run.append(arguments)
        return "done"

    functions = [RegisteredFunction(one, execute) for one in (PAY, LOOK)]
    runner = ResponsesToolRunner(functions=functions)
    question = f"{BOTH}\nthen call look {{}}"
    response = runner.run(sdk, {"model": "gpt-4o-mini", "input": question}, max_steps=5, stream=stream)
    assert response.output_text == "pay returned done\nlook returned done\nlook returned done"
    assert run == [{"amount": 3}, {}, {}]


def test_the_parser_of_openai_python(sdk: openai.OpenAI) -> None:
    response = sdk.responses.parse(model="gpt-4o-mini", input=ASK, tools=[pydantic_responses_function_tool(pay)])
    [call] = response.output
    assert call.type == "function_call"
    assert call.parsed_arguments == pay(amount=3)


@tool("pay")
def paying(amount: int) -> str:
    """Pay an amount."""
    return f"paid {amount}"


@pytest.mark.parametrize("chained", [False, True])
def test_an_agent_of_langchain(stack: Stack, chained: bool) -> None:
    model = ChatOpenAI(
        base_url=f"{stack.gateway.url}/v1", api_key=SecretStr("none"), model="gpt-4o-mini", max_retries=0,
        use_responses_api=True, use_previous_response_id=chained, streaming=True,
    )  # fmt: skip
    agent: Any = create_agent(model, [paying], system_prompt="Be kind.")
    messages = agent.invoke({"messages": [HumanMessage(f'{ASK}\nthen call pay {{"amount": 4}}')]})["messages"]
    assert [message.type for message in messages] == ["human", "ai", "tool", "ai", "tool", "ai"]
    assert messages[-1].text == "pay returned paid 3\npay returned paid 4"
    assert isinstance(messages[1], AIMessage)
    assert messages[1].tool_calls[0]["args"] == {"amount": 3}


@pytest.fixture
def keys() -> dict[str, NewKey]:
    return {tenant: new_key(f"key of {tenant}", tenant) for tenant in ("acme", "other")}


@pytest.fixture
def gateway(stack: Stack, tmp_path: Path, keys: dict[str, NewKey]) -> Iterator[Gateway]:
    """Yield a gateway of two tenants, beside that of the stack."""
    entries = json.dumps({key.digest: key.entry for key in keys.values()})
    with Gateway(stack.redis_url, tmp_path, TURNSTILE_API_KEYS=entries) as running:
        yield running


def test_items_of_another_tenant_do_not_exist(gateway: Gateway, keys: dict[str, NewKey]) -> None:
    mine, theirs = (gateway.sdk(api_key=keys[tenant].text) for tenant in ("acme", "other"))
    first: Any = mine.responses.create(input=ASK, tools=[PAY])
    for id in (first.output[0].id, mine.responses.input_items.list(first.id).data[0].id):
        reference: Any = [{"type": "item_reference", "id": id}, {"role": "user", "content": "Well?"}]
        with pytest.raises(openai.NotFoundError, match="Item with id"):
            theirs.responses.create(input=reference)
    output: Any = [{"type": "function_call_output", "call_id": first.output[0].call_id, "output": "x"}]
    with pytest.raises(openai.NotFoundError):
        theirs.responses.create(input=output, previous_response_id=first.id)
    with pytest.raises(openai.BadRequestError, match="No tool call found"):
        theirs.responses.create(input=output, conversation=first.conversation.id)
