"""Idempotency keys of tool calls: `config["configurable"]["idempotency_key"]`, the same in every attempt at one call.

It is the call's id within its thread. LangChain hands a tool its config before anybody is told of the call, so the key is put
there where a tool begins to run.
"""

from collections.abc import Mapping
from functools import wraps
from typing import Any

from langchain_core.tools import BaseTool
from langgraph.prebuilt.tool_node import ToolRuntime

THREAD = "turnstile_thread"
"""The field of a config that says that a turn's graph is running, and in which thread."""
KEY = "idempotency_key"

_run, _arun = BaseTool.run, BaseTool.arun


def give_keys() -> None:
    """Give every tool call of a graph its key, from now on."""
    BaseTool.run = _keyed_run  # type: ignore[method-assign]
    BaseTool.arun = _keyed_arun  # type: ignore[method-assign]


@wraps(_run)
def _keyed_run(self: BaseTool, tool_input: Any, *args: Any, **given: Any) -> Any:
    return _run(self, tool_input, *args, **_with_key(tool_input, given))


@wraps(_arun)
async def _keyed_arun(self: BaseTool, tool_input: Any, *args: Any, **given: Any) -> Any:
    return await _arun(self, tool_input, *args, **_with_key(tool_input, given))


def _with_key(tool_input: Any, given: dict[str, Any]) -> dict[str, Any]:
    config, call = given.get("config") or {}, given.get("tool_call_id")
    thread = config.get("configurable", {}).get(THREAD)
    if not thread or not call:
        return given
    key = f"{thread}:{call}"
    for value in tool_input.values() if isinstance(tool_input, Mapping) else ():
        if isinstance(value, ToolRuntime):
            # This call's own copy.
            value.config.setdefault("configurable", {})[KEY] = key
    return {**given, "config": {**config, "configurable": {**config["configurable"], KEY: key}}}
