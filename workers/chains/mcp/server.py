"""One MCP server over HTTP: a list of its tools, each of which calls it in a session of its own."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import httpx
from langchain_core.tools import BaseTool
from langchain_mcp_adapters.interceptors import MCPToolCallRequest
from langchain_mcp_adapters.tools import convert_mcp_tool_to_langchain_tool
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.types import (
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    ClientRequest,
    PaginatedRequestParams,
    TextContent,
    Tool,
)
from pydantic import ValidationError

from turnstile.turns.tools import MOST_TOOLS
from turnstile.workers.chains.mcp.connections import http_client
from turnstile.workers.chains.mcp.reading import BrokenAnswer, Reading
from turnstile.workers.chains.mcp.schemas import check_schemas

_MOST_PAGES = MOST_TOOLS
_NAME = re.compile(r"[A-Za-z0-9_./-]{1,128}")
_NO_RESULT = "The tool's server answered with something that is no result of a tool."
_NO_LIST = "It answered with something that is no list of tools."

T = TypeVar("T")

# They quote what a server sends.
for _name in ("mcp.client.streamable_http", "mcp.client.session"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


class McpServer:
    """A server at a URL (streamable HTTP)."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._context = httpx.create_ssl_context()

    async def tools(self) -> list[BaseTool]:
        """Return the server's tools. One whose answer is broken tells the model so, as a tool's error.

        Raises:
            BrokenAnswer: the list is larger than any, or no list.
            Exception: the server cannot be reached, or refuses.
        """
        found = [self._tool(tool) for tool in await self._within(_listed, _NO_LIST)]
        check_schemas(found)
        return found

    def _tool(self, tool: Tool) -> BaseTool:
        if not _NAME.fullmatch(tool.name):
            raise BrokenAnswer("The name of a tool must be 1 to 128 letters, digits, _, -, . and /.")
        return convert_mcp_tool_to_langchain_tool(
            None, tool, connection={"transport": "streamable_http", "url": self._url}, tool_interceptors=[self._call]
        )

    async def _call(self, request: MCPToolCallRequest, handler: object) -> CallToolResult:  # noqa: ARG002 - the interceptors' signature
        """Call a tool. Its result is not validated by the server's schema: a pattern in that may take for ever."""
        params = CallToolRequestParams(name=request.name, arguments=request.args)
        call = ClientRequest(CallToolRequest(params=params))
        try:
            return await self._within(lambda session: session.send_request(call, CallToolResult), _NO_RESULT)
        except BrokenAnswer as error:
            return CallToolResult(content=[TextContent(type="text", text=str(error))], isError=True)

    async def _within(self, ask: Callable[[ClientSession], Awaitable[T]], wrong: str) -> T:
        """Return an answer of the server in a session of its own. `wrong` is said of one of another form."""
        answers: list[T | Exception] = []
        reading = None
        try:
            async with asyncio.timeout(None) as scope:
                reading = Reading(scope)
                async with self._session(reading) as session:
                    answers.append(await _asked(session, ask, wrong))
                    reading.answered()
        except Exception:
            if not answers and not (reading and reading.reason):
                raise
        if not answers:
            assert reading is not None
            raise BrokenAnswer(reading.reason)
        if isinstance(answers[0], Exception):
            raise answers[0]
        return answers[0]

    @asynccontextmanager
    async def _session(self, reading: Reading) -> AsyncIterator[ClientSession]:
        async with (
            http_client(reading, self._context) as client,
            streamable_http_client(self._url, http_client=client) as (read, write, _),
            ClientSession(read, write) as session,
        ):
            yield session


async def _asked(session: ClientSession, ask: Callable[[ClientSession], Awaitable[T]], wrong: str) -> T | Exception:
    """Return the answer, or the error in its place: raised here, it would come out in a group, or not at all."""
    try:
        await session.initialize()
        return await ask(session)
    except ValidationError:
        return BrokenAnswer(wrong)
    except Exception as error:
        return error


async def _listed(session: ClientSession) -> list[Tool]:
    found: list[Tool] = []
    cursor = None
    for _ in range(_MOST_PAGES):
        page = await session.list_tools(params=PaginatedRequestParams(cursor=cursor))
        found += page.tools
        if len(found) > MOST_TOOLS:
            raise BrokenAnswer(f"The server has more than {MOST_TOOLS} tools; a model takes no more.")
        if not page.nextCursor:
            return found
        cursor = page.nextCursor
    raise BrokenAnswer(f"The list of tools has more than {_MOST_PAGES} pages.")
