"""Look-ups on a worker's loop."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from turnstile.turns.settings import Settings
from turnstile.workers.process.naming_loop import NamingLoop, own_hosts


def _run(work: Callable[[], Awaitable[Any]]) -> Any:
    with asyncio.Runner(loop_factory=lambda: NamingLoop(())) as runner:
        return runner.run(_awaited(work))


async def _awaited(work: Callable[[], Awaitable[Any]]) -> Any:
    return await work()


@pytest.mark.parametrize("host", ["named.test", b"named.test", "127.0.0.1", b"127.0.0.1"])
def test_a_host_is_found_in_every_form(host: str | bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    found, asked = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80)), []

    def getaddrinfo(*name: Any) -> list[Any]:
        asked.append(name[0])
        return [found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    kind = socket.SOCK_STREAM
    assert _run(lambda: asyncio.get_running_loop().getaddrinfo(host, 80, type=kind)) == [found]
    # An address is nobody's to ask.
    assert asked == (["named.test"] if "named" in str(host) else [])


def test_a_name_that_is_none_is_an_error_of_the_network() -> None:
    with pytest.raises(OSError, match="no name"):
        _run(lambda: asyncio.get_running_loop().getaddrinfo("a" * 64, 80))


def test_the_settings_name_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.test:3128")
    settings = Settings(
        openai_base_url="https://Models.test:8443/v1",
        model_servers='{"fast": {"url": "http://fast.test/v1"}}',
        tools="package.module:tool, https://tools.test/mcp",
    )
    assert own_hosts(settings) >= {"models.test", "fast.test", "tools.test", "proxy.test"}
