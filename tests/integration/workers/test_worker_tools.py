"""Loading of the worker's own tools, from modules and from MCP servers."""

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.mcp_server import mcp_server
from tests.support.ports import lasting_port
from turnstile.turns.errors import SettingError
from turnstile.workers.chains.tools import load_tools

_numbers = itertools.count()
Writer = Callable[[str], str]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Writer]:
    """Writes a module into the working directory, and returns its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    written: list[str] = []

    def write(code: str) -> str:
        name = f"users_tools_{next(_numbers)}"
        written.append(name)
        (tmp_path / f"{name}.py").write_text(code)
        return name

    yield write
    for name in written:
        sys.modules.pop(name, None)


CODE = """
from langchain_core.tools import tool

@tool
def look(at: str) -> str:
    "Look at something."
    return "seen"

@tool
def pay(amount: int) -> str:
    "Pay."
    return "paid"

both = [look, pay]

def make():
    return pay

async def fetch():
    return both

def broken():
    raise LookupError("nowhere")

number = 7
nothing = []
def plain(at: str) -> str: ...
"""


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ("{0}:look", ["look"]),
        ("{0}:look, {0}:make", ["look", "pay"]),
        ("{0}:both", ["look", "pay"]),
        ("{0}:fetch,", ["look", "pay"]),
    ],
)
async def test_tools_of_a_module(module: Writer, names: str, found: list[str]) -> None:
    assert [tool.name for tool in await load_tools(names.format(module(CODE)))] == found


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("{0}:absent", "has no absent"),
        ("{0}:number", "neither a LangChain tool"),
        ("{0}:nothing", "neither a LangChain tool"),
        ("{0}:plain", "neither a LangChain tool"),
        ("{0}:broken", "cannot be called: LookupError: nowhere"),
        ("{0}:both,{0}:look", "two tools are named look"),
        ("nowhere_at_all:look", "cannot be imported: ModuleNotFoundError"),
    ],
)
async def test_what_is_no_tool_is_told_in_one_line(module: Writer, names: str, said: str) -> None:
    with pytest.raises(SettingError, match=said) as refused:
        await load_tools(names.format(module(CODE)))
    assert str(refused.value).startswith("TURNSTILE_TOOLS: ")
    assert "\n" not in str(refused.value)


async def test_tools_of_an_mcp_server(module: Writer) -> None:
    with mcp_server() as url:
        multiply, pay = await load_tools(f"{url},{module(CODE)}:pay")
        answer = await multiply.ainvoke({"type": "tool_call", "id": "c1", "name": "multiply", "args": {"a": 3, "b": 4}})
    assert (multiply.name, answer.text, answer.tool_call_id) == ("multiply", "12", "c1")
    assert pay.name == "pay"


async def test_a_server_that_is_not_there_is_named_without_its_secrets() -> None:
    port = lasting_port()
    with pytest.raises(SettingError, match=f"the MCP server at http://127.0.0.1:{port} gives no tools") as refused:
        await load_tools(f"http://user:secret@127.0.0.1:{port}/mcp?key=secret")
    assert "secret" not in str(refused.value)
