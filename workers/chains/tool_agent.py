"""The default chain as an agent: a graph that runs the worker's own tools, beside those that a client brings."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NotRequired

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse, hook_config
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import BaseTool
from langgraph.config import get_config

from turnstile.workers.chains.default import system_prompt
from turnstile.workers.chains.items import CUT_OFF, drop_calls, finish_reason
from turnstile.workers.chains.openai.model import LoopChatOpenAI, call_options
from turnstile.workers.chains.run import OptionRefused

Update = dict[str, Any] | None


class _State(AgentState[Any]):
    both: NotRequired[list[Any]]
    """All calls of an answer that holds calls of both kinds, while the worker's are run."""


class TurnOptions(AgentMiddleware[_State, Any]):
    """A middleware that follows a turn's options, and ends the run at calls of the client's tools."""

    state_schema = _State

    def __init__(self, own: Sequence[str]) -> None:
        super().__init__()
        self._own = frozenset(own)

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        """Ask the model as the turn wants it. Its choice of a tool is for the first answer, or the run would never end."""
        asked = get_config()["configurable"]
        tools, usual = asked.get("tools") or [], request.system_message
        own = system_prompt(asked.get("instructions"), request.messages, usual.text if usual else "")
        settings = call_options({**asked, "tools": tools or request.tools})
        choice = settings.pop("tool_choice", None)
        del settings["tools"]
        if taken := sorted(self._own & _names(tools)):
            raise OptionRefused(f"`tools`: the worker has a tool {taken[0]} of its own; name yours otherwise.")
        return await handler(
            request.override(
                system_message=own[0] if own else None,
                tools=[*request.tools, *tools],
                tool_choice=None if isinstance(request.messages[-1], ToolMessage) else choice,
                model_settings={**request.model_settings, **settings},
            )
        )

    @hook_config(can_jump_to=["model", "end"])
    async def aafter_model(self, state: _State, runtime: Any) -> Update:  # noqa: ARG002  # langchain's signature
        """End the run at the client's calls. The worker's are run first; those that did not parse are asked for once more."""
        answer = _last_answer(state)
        if finish_reason(answer) in CUT_OFF:
            left = answer.model_copy()
            drop_calls(left)
            return {"messages": [left], "jump_to": "end"}
        names = _names(get_config()["configurable"].get("tools") or [])
        own = [call for call in answer.tool_calls if call["name"] not in names]
        if len(own) < len(answer.tool_calls):
            if not own:
                return {"jump_to": "end"}
            return {"messages": [answer.model_copy(update={"tool_calls": own})], "both": answer.tool_calls}
        if not own and any(call["name"] in self._own for call in answer.invalid_tool_calls):
            return {"jump_to": "model"}
        return None

    @hook_config(can_jump_to=["end"])
    async def abefore_model(self, state: _State, runtime: Any) -> Update:  # noqa: ARG002  # langchain's signature
        """End the run when the worker's part of the calls has been run, with the client's open."""
        if not state.get("both"):
            return None
        whole = _last_answer(state).model_copy(update={"tool_calls": state["both"]})
        return {"messages": [whole], "both": [], "jump_to": "end"}


def tool_agent(model: LoopChatOpenAI, tools: Sequence[BaseTool], instructions: str) -> Any:
    """Return a graph that answers as the default chain does, and runs these tools where the model calls them."""
    middleware = TurnOptions([tool.name for tool in tools])
    return create_agent(model, list(tools), system_prompt=instructions, middleware=[middleware], name="turnstile")


def _names(tools: Sequence[dict[str, Any]]) -> set[str]:
    return {tool["function"]["name"] for tool in tools}


def _last_answer(state: _State) -> AIMessage:
    return next(message for message in reversed(state["messages"]) if isinstance(message, AIMessage))
