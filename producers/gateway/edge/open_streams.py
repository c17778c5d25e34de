"""The streams that a tenant reads at one time, counted over all gateways."""

import asyncio
import uuid
from contextlib import suppress

from turnstile.producers.gateway.edge.api_errors import ApiError, retry_after
from turnstile.producers.gateway.edge.body import Scope
from turnstile.producers.gateway.edge.caller import Caller
from turnstile.producers.gateway.edge.large_answers import require_room
from turnstile.producers.gateway.prompt_store import PromptStore
from turnstile.turns.asyncio_tasks import end_all
from turnstile.turns.errors import QueueUnreachable

_STREAM = "turnstile.stream"
_RENEW_SECONDS, _RETRY_SECONDS = 20.0, 5.0


class _Stream:
    """A stream that is noted until it is closed."""

    def __init__(self, store: PromptStore, caller: Caller, most: int) -> None:
        self._store, self._tenant, self._most = store, caller.tenant, most
        self._id = uuid.uuid4().hex
        self._renewing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        if not await self._store.open_stream(self._tenant, self._id, self._most):
            message = f"The tenant has {self._most:,} streams open, as many as it may; wait for the end of one."
            raise ApiError(429, message, None, "rate_limit_exceeded", retry_after(_RETRY_SECONDS))
        self._renewing = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            with suppress(QueueUnreachable):
                await self._store.open_stream(self._tenant, self._id, self._most)

    async def close(self) -> None:
        await end_all([self._renewing] if self._renewing else [])
        with suppress(QueueUnreachable):
            await self._store.close_stream(self._tenant, self._id)


async def open_stream(scope: Scope, store: PromptStore, caller: Caller) -> None:
    """Note that a request's answer is a stream, until the request has ended.

    Raises:
        ApiError: the tenant reads as many streams as it may, or its key has too many unread bytes (429).
    """
    require_room(caller.api_key)
    if caller.streams is not None:
        stream = _Stream(store, caller, caller.streams)
        await stream.open()
        scope[_STREAM] = stream


async def close_stream(scope: Scope) -> None:
    """Close the stream of a request that has ended, if it had one."""
    stream: _Stream | None = scope.get(_STREAM)
    if stream:
        await stream.close()
