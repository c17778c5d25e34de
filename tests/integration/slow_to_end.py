"""Holds a connection that has broken at the moment where its parts are being ended."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


class SlowToEnd:
    """Stands in for `watch_for_silence`: once cancelled it stays until it is let go."""

    def __init__(self) -> None:
        self._ending, self._let_go = asyncio.Event(), asyncio.Event()

    async def watch(self, *_: Any) -> None:
        """Never complain of silence."""
        try:
            await asyncio.Event().wait()
        finally:
            self._ending.set()
            await self._let_go.wait()

    async def ends_when(self, close: Callable[[], Awaitable[None]]) -> None:
        """Wait until the connection breaks, close it in the middle of that, and see that this ends."""
        await self._ending.wait()
        closing = asyncio.ensure_future(close())
        await asyncio.sleep(0)
        self._let_go.set()
        ended, _ = await asyncio.wait([closing], timeout=15)
        assert ended, "closing hangs"
        await closing
