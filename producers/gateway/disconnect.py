"""Waiting for something only as long as the client stays connected."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from turnstile.producers.gateway.edge.api_errors import ClientGone
from turnstile.producers.gateway.edge.loop_time import metered
from turnstile.producers.gateway.edge.rotation import next_in_rotation
from turnstile.producers.gateway.prompt_store import api_key
from turnstile.turns.asyncio_tasks import end_all

T = TypeVar("T")

Receive = Callable[[], Awaitable[Any]]


async def disconnected(receive: Receive) -> None:
    """Return when the client has disconnected; a body that nobody wants is dropped.

    Thousands may leave at one moment, and each leaves work behind: they go in the rotation of their keys.
    """
    while (await receive())["type"] != "http.disconnect":
        pass
    await next_in_rotation(api_key.get())


async def while_connected(work: Awaitable[T], leaving: Awaitable[None]) -> T:
    """Return the result of `work`. Raises ClientGone if `leaving`, which ends when the client disconnects, ends first."""
    working, left = asyncio.ensure_future(metered(work)), asyncio.ensure_future(leaving)
    try:
        await asyncio.wait({working, left}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGone
        return working.result()
    finally:
        await end_all([working, left])
