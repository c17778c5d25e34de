"""An MCP server with one tool, as a process of its own: `python -m tests.support.mcp_server PORT`."""

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.ports import lasting_port
from tests.support.wait import wait_until

_ROOT = Path(__file__).parents[2]


@contextmanager
def mcp_server() -> Iterator[str]:
    """The URL of a running server."""
    port = lasting_port()
    url = f"http://127.0.0.1:{port}/mcp"
    command = [sys.executable, "-m", "tests.support.mcp_server", str(port)]
    with subprocess.Popen(command, cwd=_ROOT, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: _answers(url), "the MCP server answers")
            yield url
        finally:
            process.kill()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _serve(port: int) -> None:
    from mcp.server.fastmcp import FastMCP

    server = FastMCP("calculator", host="127.0.0.1", port=port, log_level="ERROR")

    @server.tool()
    def multiply(a: int, b: int) -> str:
        """Multiply two numbers."""
        return str(a * b)

    server.run(transport="streamable-http")


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
