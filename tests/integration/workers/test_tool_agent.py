"""The default chain as an agent over the worker's own tools, against the stand-in over HTTP."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool

from turnstile.memory.calls import open_calls
from turnstile.turns.settings import Settings
from turnstile.workers.chains.openai.model import build_model, close_model
from turnstile.workers.chains.run import OptionRefused
from turnstile.workers.chains.tool_agent import tool_agent
from turnstile.workers.offline.server import OfflineModel

CLIENTS: list[dict[str, Any]] = [{"type": "function", "function": {"name": "ask_user", "parameters": {"type": "object"}}}]


@tool
def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


class Agent:
    """The agent, and what the model's server has seen."""

    def __init__(self, graph: Any, server: OfflineModel) -> None:
        self.graph, self.server = graph, server

    async def ask(self, question: str, *before: BaseMessage, **options: Any) -> list[BaseMessage]:
        """The messages that the run adds."""
        asked = [*before, *([HumanMessage(question)] if question else [])]
        state = await self.graph.ainvoke({"messages": asked}, {"configurable": options})
        messages: list[BaseMessage] = state["messages"]
        return messages[len(asked) :]

    @property
    def roles(self) -> list[list[str]]:
        """Roles of the messages of each request."""
        return [[message["role"] for message in request["messages"]] for request in self.server.seen]


@pytest.fixture
async def agent() -> AsyncIterator[Agent]:
    async with OfflineModel(record=True) as server:
        model = build_model(Settings(), server.base_url)
        yield Agent(tool_agent(model, [add], "Be brief"), server)
        await close_model(model)


def kinds(messages: list[BaseMessage]) -> list[str]:
    return [message.type for message in messages]


async def test_the_workers_tools_are_run(agent: Agent) -> None:
    added = await agent.ask('call add {"a": 1, "b": 2}\ncall add {"a": 3, "b": 4}')
    assert kinds(added) == ["ai", "tool", "tool", "ai"]
    assert added[-1].text == "add returned 3\nadd returned 7"
    assert agent.roles == [["system", "user"], ["system", "user", "assistant", "tool", "tool"]]
    assert agent.server.seen[0]["messages"][0]["content"] == "Be brief"


async def test_a_plain_question_is_one_call_of_the_model(agent: Agent) -> None:
    assert kinds(await agent.ask("Hello")) == ["ai"]
    assert len(agent.server.seen) == 1


async def test_the_options_of_a_turn_reach_the_model(agent: Agent) -> None:
    wanted = {"type": "json_object"}
    options = {"model": "other", "temperature": 0.5, "top_p": 0.9, "max_output_tokens": 50, "instructions": "Be {kind}"}
    await agent.ask("Hello", **options, response_format=wanted, parallel_tool_calls=False, parameters={"top_k": 5})
    [seen] = agent.server.seen
    assert (seen["model"], seen["temperature"], seen["top_p"], seen["max_completion_tokens"]) == ("other", 0.5, 0.9, 50)
    assert (seen["response_format"], seen["parallel_tool_calls"], seen["top_k"]) == (wanted, False, 5)
    assert seen["messages"][0]["content"] == "Be {kind}"


async def test_a_clients_call_ends_the_run_open(agent: Agent) -> None:
    added = await agent.ask('call ask_user {"what": "size"}', tools=CLIENTS)
    assert kinds(added) == ["ai"]
    assert [call["name"] for call in open_calls(added)] == ["ask_user"]
    assert [tool["function"]["name"] for tool in agent.server.seen[0]["tools"]] == ["add", "ask_user"]


async def test_of_both_kinds_the_workers_are_run_first(agent: Agent) -> None:
    question = 'call ask_user {"what": "size"}\ncall add {"a": 1, "b": 2}'
    added = await agent.ask(question, tools=CLIENTS)
    assert kinds(added) == ["ai", "tool"]
    assert isinstance(added[0], AIMessage)
    assert [call["name"] for call in added[0].tool_calls] == ["ask_user", "add"]
    [left] = open_calls(added)
    assert (left["name"], added[1].content) == ("ask_user", "3")
    answer = ToolMessage("large", tool_call_id=left["id"])
    [said] = await agent.ask("", HumanMessage(question), *added, answer, tools=CLIENTS)
    assert said.text == "add returned 3\nask_user returned large"


async def test_a_choice_of_tools_is_for_the_first_answer(agent: Agent) -> None:
    named = {"type": "function", "function": {"name": "add"}}
    assert kinds(await agent.ask("Hello", tool_choice=named)) == ["ai", "tool", "ai"]
    assert [request.get("tool_choice") for request in agent.server.seen] == [named, None]


async def test_the_workers_names_are_taken(agent: Agent) -> None:
    with pytest.raises(OptionRefused, match="a tool add of its own"):
        await agent.ask("Hello", tools=[{"type": "function", "function": {"name": "add"}}])


async def test_an_unknown_tool_is_told_to_the_model(agent: Agent) -> None:
    added = await agent.ask("call subtract {}", tools=CLIENTS)
    assert kinds(added) == ["ai", "tool", "ai"]
    assert "subtract is not a valid tool" in added[1].text


async def test_arguments_that_do_not_parse_are_told_to_the_model(agent: Agent) -> None:
    added = await agent.ask('call add {"a": ')
    assert kinds(added) == ["ai", "tool", "ai"]
    assert not open_calls(added)


async def test_calls_that_were_cut_off_are_not_run(agent: Agent) -> None:
    added = await agent.ask('call add {"a": 1, "b": 2} [[finish=length]]')
    assert kinds(added) == ["ai"]
    assert not open_calls(added)
