"""Bounds on what a worker reads of MCP servers, which may be broken or hostile."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import pytest
from langchain_core.messages import ToolMessage

from tests.support.hostile_mcp import FLOODS, GOOD, RESUMED, TOOLS, hostile_mcp, listed
from turnstile.turns.errors import SettingError
from turnstile.workers.chains.mcp import messages, reading
from turnstile.workers.chains.mcp.messages import Events
from turnstile.workers.chains.mcp.reading import BrokenAnswer, Reading
from turnstile.workers.chains.tools import load_tools

_END = "ended its answer without a result"
_TOO_LARGE = "more than 4,194,304 bytes"
_ENDS = {
    **dict.fromkeys(FLOODS, "sent more than|takes too long"),
    **dict.fromkeys(("interim_responses", "early_hints", "a_head", "a_line_of_a_head"), "The head of the answer"),
    **dict.fromkeys(("an_extension_of_a_chunk", "a_size_of_a_chunk", "trailers"), _END),
    **dict.fromkeys(("json", "line", "lines", "large"), _TOO_LARGE),
    **dict.fromkeys(("half_a_pair", "no_object", "no_json", "pings"), "cannot be read"),
    **dict.fromkeys(("deep", "wide"), "more than 50,000 values"),
    **dict.fromkeys(("another_id", "another_id_in_events", "a_notification"), "something else than it was asked"),
    **dict.fromkeys(("a_beginning", "a_beginning_of_events", "no_events", "a_place"), _END),
    "deep_inside": "nested more than 64 deep",
    "no_content": "no result of a tool",
    "compressed": "compressed",
    "a_page": "neither JSON nor",
}
RESPONSE = b'{"jsonrpc": "2.0", "id": 7, "result": {}}'


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bounds, sooner."""
    monkeypatch.setattr(reading, "MOST_SESSION_BYTES", 6_000_000)
    monkeypatch.setattr(reading, "MOST_SECONDS", 0.5)
    monkeypatch.setattr(reading, "_REQUEST_SECONDS", 0.0)
    monkeypatch.setattr(reading, "_CLOSE_SECONDS", 0.1)


async def call(url: str, name: str) -> ToolMessage:
    tools = {tool.name: tool for tool in await load_tools(url)}
    message = await tools[name].ainvoke({"type": "tool_call", "id": "c1", "name": name, "args": {}})
    assert isinstance(message, ToolMessage)
    return message


def test_each_answer_has_an_end() -> None:
    assert set(TOOLS) == set(_ENDS) | set(GOOD)


@pytest.mark.parametrize("name", _ENDS)
async def test_a_broken_answer_is_an_error_of_its_tool(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        async with hostile_mcp() as (url, _), asyncio.timeout(30):
            message = await call(url, name)
    assert message.status == "error"
    assert any(part in message.text for part in _ENDS[name].split("|"))
    assert "qqq" not in caplog.text
    assert "Error" not in caplog.text


async def ends(session: Callable[[Reading], Awaitable[None]]) -> bool:
    """Return whether a session is ended, although its error is swallowed."""
    try:
        async with asyncio.timeout(None) as scope:
            with pytest.raises(BrokenAnswer):
                await session(Reading(scope))
            await asyncio.Event().wait()
    except TimeoutError:
        return True
    return False


async def test_all_that_comes_in_a_session_has_an_end() -> None:
    async def session(read: Reading) -> None:
        read.take(reading.MOST_SESSION_BYTES)
        read.take(1)

    assert await ends(session)


async def test_an_answer_that_takes_long_to_read_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_SECONDS", 0.0)

    async def session(read: Reading) -> None:
        await read.rest()
        read.take(1)
        await read.rest()

    assert await ends(session)


async def test_others_go_on_while_a_server_floods() -> None:
    async with hostile_mcp() as (url, _), asyncio.timeout(30):
        flood = asyncio.create_task(call(url, "comments"))
        for _ in range(500):
            await asyncio.sleep(0)
        assert not flood.done()
        await flood


@pytest.mark.parametrize("name", GOOD)
async def test_a_good_answer_comes_through_although_its_server_never_says_goodbye(name: str) -> None:
    async with hostile_mcp() as (url, server), asyncio.timeout(30):
        server.silent_at_end = True
        assert (await call(url, name)).status == "success"


async def test_an_answer_that_breaks_off_is_taken_up_again() -> None:
    async with hostile_mcp() as (url, _), asyncio.timeout(30):
        assert (await call(url, RESUMED)).status == "success"


async def test_an_answer_that_is_not_taken_up_again_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_RESUME_SECONDS", 0.1)
    async with hostile_mcp() as (url, _), asyncio.timeout(30):
        assert _END in (await call(url, RESUMED)).text


async def test_a_schema_that_its_server_repeats_for_ever_is_not_followed() -> None:
    ring = {"type": "object", "properties": {"x": {"$ref": "#"}}}
    async with hostile_mcp([[{"name": "x", "inputSchema": ring}]]) as (url, _):
        assert [tool.name for tool in await load_tools(url)] == ["x"]


_BOMB = {
    "type": "object",
    "properties": {"x": {"$ref": "#/$defs/d0"}},
    "$defs": {
        f"d{depth}": {"type": "object", "properties": {f"p{place}": {"$ref": f"#/$defs/d{depth + 1}"} for place in range(10)}}
        for depth in range(9)
    }
    | {"d9": {"type": "string"}},
}


def _tool(**fields: Any) -> dict[str, Any]:
    return {"name": "x", "inputSchema": {"type": "object"}, **fields}


@pytest.mark.parametrize(
    ("pages", "said"),
    [
        ([listed(tuple(f"t{number}" for number in range(129)))], "more than 128 tools"),
        ([[], []], "more than 128 pages"),
        ([[_tool(), _tool(name="y", description="z" * 262_144)]], "bytes of schemas"),
        ([[_tool(name="two\nlines")]], "The name of a tool"),
        ([[_tool(name="x" * 129)]], "The name of a tool"),
        ([[_tool(inputSchema=_BOMB)]], "larger than any, written out"),
        ([[_tool(inputSchema={"$ref": "https://elsewhere.test/schema"})]], "cannot be read"),
        ([[_tool(inputSchema={"type": "object", "properties": {"$ref": {"type": "string"}}})]], "cannot be read"),
        ([[_tool(description="z" * 5_000_000)]], _TOO_LARGE),
        ([[_tool(name=7)]], "no list of tools"),
    ],
)
async def test_a_list_of_tools_is_bounded(pages: list[list[dict[str, Any]]], said: str) -> None:
    async with hostile_mcp(pages) as (url, _), asyncio.timeout(30):
        with pytest.raises(SettingError, match=said) as refused:
            await load_tools(url)
    assert "\n" not in str(refused.value)


async def read(pieces: Iterable[bytes]) -> bytes:
    async def come() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return b"".join([event async for event in Events(7).of(come())])


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
async def test_events_are_the_same_however_they_are_cut(size: int, end: bytes) -> None:
    lines = [
        b": comment",
        b"id: 1",
        b"",
        b"event: message",
        b'data: {"jsonrpc": "2.0", "id": 7,',
        b'data:  "result": {}}',
        b"",
        b"",
    ]
    stream = end.join(lines)
    found = await read(stream[start : start + size] for start in range(0, len(stream), size))
    assert found == b'data: {"jsonrpc": "2.0", "id": 7,\ndata:  "result": {}}\n\n'


async def test_a_server_may_ask_but_its_words_go_no_further() -> None:
    request = b'data: {"jsonrpc": "2.0", "id": 3, "method": "sampling/createMessage", "params": {"secret": 1}}\n\n'
    assert await read([request]) == b'data: {"jsonrpc":"2.0","id":3,"method":"sampling/createMessage"}\n\n'
    with pytest.raises(BrokenAnswer):
        await read([b'data: {"jsonrpc": "2.0", "id": 3, "method": "two words"}\n\n'])


@pytest.mark.parametrize("piece", [b"d" * 20, b"data:\n"])
async def test_a_line_and_an_event_have_an_end(monkeypatch: pytest.MonkeyPatch, piece: bytes) -> None:
    monkeypatch.setattr(messages, "MOST_MESSAGE_BYTES", 200)
    assert await read([b"data: " + RESPONSE + b"\n\n"])
    left = iter([piece] * 20)
    with pytest.raises(BrokenAnswer):
        await read(left)
    assert list(left)


async def test_the_account_of_a_session_is_its_own() -> None:
    async with hostile_mcp() as (url, _), asyncio.timeout(30):
        tools = {tool.name: tool for tool in await load_tools(url)}
        asked = {"type": "tool_call", "id": "c1", "args": {}}
        broken, *good = await asyncio.gather(
            *(tools[name].ainvoke({**asked, "name": name}) for name in ("json", "fine", "fine"))
        )
    assert broken.status == "error"
    assert [message.status for message in good] == ["success", "success"]
