"""Requests that come again, and the key that leads each to the turn of the first.

OpenAI's SDKs number their repeats and send no key with them. A request that a repeat may follow gets a key of its own, which is
kept under a digest of what the repeat will look like; a repeat takes that key.
"""

import hashlib
import uuid
from collections.abc import Mapping

from fastapi import Request

from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.edge.caller import RESPONSE, Caller
from turnstile.turns.errors import UnknownTurn
from turnstile.turns.states import State

MESSAGE_ID = "client_message_id"
"""In a request's metadata: a client's own id of its message, which works as an idempotency key."""
LOST_SECONDS = 60.0
"""Time after the end of a turn in which a repeat of its request gets the same answer."""
_COUNT = "x-stainless-retry-count"
_SESSION = "x-turnstile-session"


async def repeat_key(
    request: Request, backend: Backend, caller: Caller, kind: str, metadata: Mapping[str, str] | None, header: str | None
) -> str | None:
    """Return the word that tells a repeated request from a new one; None where no repeat could be told."""
    if header:
        return f"key\0{header}"
    if message := (metadata or {}).get(MESSAGE_ID):
        return f"message\0{message}"
    count = request.headers.get(_COUNT, "")
    if not count.isdecimal():
        return None
    name, fresh = await _digest(request, caller), f"request\0{uuid.uuid4().hex}"
    seconds = backend.settings.turn_seconds + LOST_SECONDS
    if count.strip("0"):
        earlier = await backend.store.once(name, fresh, seconds)
        if earlier == fresh or not await _is_over(backend, RESPONSE + caller.key(kind, earlier)):
            return earlier
    await backend.store.put(name, fresh, seconds)
    return fresh


async def _digest(request: Request, caller: Caller) -> str:
    asked = (caller.tenant, caller.api_key, request.url.path, request.headers.get(_SESSION, ""))
    digest = hashlib.sha256("\0".join(asked).encode() + b"\0")
    digest.update(await request.body())
    return f"request:{digest.hexdigest()[:32]}"


async def _is_over(backend: Backend, id: str) -> bool:
    """Return whether a request is a new one although it looks like the repeat of this turn's."""
    try:
        record = await backend.store.outline(id)
    except UnknownTurn:
        return False
    if record.state is State.CANCELLED or record.finished is None:
        return record.state is State.CANCELLED
    return await backend.store.now() - record.finished > LOST_SECONDS
