"""Agents with tools that write to a ledger outside, and fail in ways that tests choose."""

import asyncio
import os
import time
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware, before_model
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import interrupt


class Scripted(BaseChatModel):
    """A model that does what it is told: `call NAME WHAT; call NAME WHAT | call NAME WHAT` are two answers before the last."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **_: Any) -> "Scripted":
        return self

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None = None,
        **_: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=_answer(messages))])

    async def _agenerate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return self._generate(messages)


def _answer(messages: list[BaseMessage]) -> AIMessage:
    asked = max(place for place, message in enumerate(messages) if isinstance(message, HumanMessage))
    steered = f"{messages[asked].id}-" if str(messages[asked].id).startswith("steered-") else ""
    rounds = [part.strip() for part in str(messages[asked].content).split("|")]
    made = sum(isinstance(message, AIMessage) for message in messages[asked:])
    usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    if made >= len(rounds) or not rounds[made].startswith("call "):
        results = [str(message.text) for message in messages[asked:] if isinstance(message, ToolMessage)]
        return AIMessage("done: " + ", ".join(results), usage_metadata=usage)
    calls = [call.split() for call in rounds[made].split(";")]
    return AIMessage(
        f"round {made + 1}. ",
        tool_calls=[
            {"name": name, "args": {"what": what}, "id": f"call-{steered}{made}-{place}"}
            for place, (_, name, what) in enumerate(calls)
        ],
        usage_metadata=usage,
    )


def note(entry: str) -> None:
    """Write to the ledger outside, which no crash undoes."""
    with Path(os.environ["LEDGER"]).open("a") as ledger:
        ledger.write(f"{entry}\n")


def entries() -> list[str]:
    """Return what the ledger says."""
    path = Path(os.environ["LEDGER"])
    return path.read_text().splitlines() if path.exists() else []


def gate() -> Path:
    """Return the file for which the slow ones wait."""
    return Path(os.environ["LEDGER"]).with_name("go")


def may_end(what: str) -> bool:
    """Return whether a slow one may end: the file is there, or one for it alone."""
    return gate().exists() or gate().with_name(f"go-{what}").exists()


@tool
async def pay(what: str, config: RunnableConfig) -> str:
    """Pay at once."""
    note(f"paid {what} {config['configurable']['idempotency_key']}")
    return f"paid {what}"


@tool
async def slowly(what: str, config: RunnableConfig) -> str:
    """Begin, and end when the file `go` lies beside the ledger, or `go-WHAT`."""
    note(f"begun {what} {config['configurable']['idempotency_key']}")
    for _ in iter(lambda: may_end(what), True):
        await asyncio.sleep(0.02)
    note(f"ended {what}")
    return f"ended {what}"


@tool
def in_a_thread(what: str, config: RunnableConfig) -> str:
    """Work in a thread."""
    note(f"threaded {what} {config['configurable']['idempotency_key']}")
    return f"threaded {what}"


@tool
def fail(what: str) -> str:
    """Raise, until the file `mended` lies beside the ledger."""
    if not gate().with_name("mended").exists():
        raise RuntimeError(f"a secret about {what}")
    return f"did {what}"


@tool
async def hang(what: str) -> str:
    """Never end."""
    note(f"hangs {what}")
    await asyncio.Event().wait()
    return what


@tool
def hang_in_a_thread(what: str) -> str:
    """Hold a thread for a while."""
    time.sleep(3)
    return what


@tool
def much(what: str) -> str:
    """Return fifty million letters."""
    return "x" * 50_000_000


@tool(response_format="content_and_artifact")
def strange(what: str) -> tuple[str, Any]:
    """Return something that cannot be stored."""
    return what, object()


TOOLS = [pay, slowly, in_a_thread, fail, hang, hang_in_a_thread, much, strange]
agent = create_agent(Scripted(), TOOLS)
with_a_saver = create_agent(Scripted(), TOOLS, checkpointer=InMemorySaver())


@before_model
def _looks(_: Any, __: Any) -> None:
    return None


older = create_agent(Scripted(), TOOLS, middleware=[_looks])
asks_first = create_agent(Scripted(), TOOLS, middleware=[HumanInTheLoopMiddleware(interrupt_on={"pay": True})])


async def made_async() -> Any:
    """Make an agent."""
    await asyncio.sleep(0)
    return create_agent(Scripted(), TOOLS)


def of_models(model: BaseChatModel) -> Any:
    """Make an agent that asks the models of its chain."""
    return create_agent(model, TOOLS)


class State(TypedDict):
    """Messages and a topic."""

    messages: Annotated[list[Any], add_messages]
    topic: str


def _ask(state: State) -> dict[str, Any]:
    said = interrupt({"which": "topic"})
    return {"messages": [AIMessage(f"The topic is {said}.")], "topic": str(said)}


asks_topic = StateGraph(State).add_node("ask", _ask).add_edge(START, "ask").add_edge("ask", END).compile()


inside_another = StateGraph(State).add_node("agent", agent).add_edge(START, "agent").add_edge("agent", END).compile()


class Wordless(TypedDict):
    """A state without messages."""

    topic: str


wordless = StateGraph(Wordless).add_node("n", lambda state: state).add_edge(START, "n").compile()
