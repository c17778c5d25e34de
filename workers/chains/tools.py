"""The worker's own tools: LangChain's, named by their place in a module, and those of MCP servers, named by URL."""

import asyncio
import inspect
from urllib.parse import urlsplit

from langchain_core.tools import BaseTool

from turnstile.turns.errors import SettingError
from turnstile.turns.extras import need
from turnstile.turns.tools import MOST_TOOLS
from turnstile.workers.chains.named import Named
from turnstile.workers.chains.origin import type_name

_VARIABLE = "TURNSTILE_TOOLS"
_CONNECT_SECONDS = 20.0


async def load_tools(setting: str) -> list[BaseTool]:
    """Return the tools that TURNSTILE_TOOLS names. Raises SettingError."""
    tools: list[BaseTool] = []
    for part in filter(None, setting.replace(" ", "").split(",")):
        tools += await (_of_server(part) if "://" in part else _of_module(part))
    names = [tool.name for tool in tools]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SettingError(f"TURNSTILE_TOOLS: two tools are named {twice[0]}.")
    if len(tools) > MOST_TOOLS:
        raise SettingError(f"TURNSTILE_TOOLS: it names {len(tools)} tools; a model takes {MOST_TOOLS} at most.")
    return tools


async def _of_module(place: str) -> list[BaseTool]:
    value = Named(_VARIABLE, place).value(lambda found: isinstance(found, BaseTool))
    value = await value if inspect.isawaitable(value) else value
    found = list(value) if isinstance(value, list | tuple) else [value]
    if not found or not all(isinstance(tool, BaseTool) for tool in found):
        raise SettingError(
            f"{_VARIABLE}: {place} is neither a LangChain tool, nor a list of them, nor a function without parameters "
            "that returns either; langchain_core.tools.tool makes a tool of a function."
        )
    return found


async def _of_server(url: str) -> list[BaseTool]:
    need("mcp")
    # Only workers with such a server pay for these imports.
    from turnstile.workers.chains.mcp.reading import BrokenAnswer
    from turnstile.workers.chains.mcp.server import McpServer

    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            return await McpServer(url).tools()
    except BrokenAnswer as error:
        raise SettingError(f"{_VARIABLE}: the MCP server at {_host(url)} gives no tools: {error}") from None
    except Exception as error:
        raise SettingError(f"{_VARIABLE}: the MCP server at {_host(url)} gives no tools: {_reason(error)}.") from None


def _reason(error: BaseException) -> str:
    """Return the kind of the first error of a group (anyio wraps each in several); its words may hold the URL."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    status = getattr(getattr(error, "response", None), "status_code", None)
    return type_name(error) if status is None else f"HTTP {status}"


def _host(url: str) -> str:
    """Return a URL without what may be secret in it: user, password, path and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
