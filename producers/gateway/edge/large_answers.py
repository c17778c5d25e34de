"""Large answers: sent piece by piece, as the client reads them; those of one API key have a bounded size together."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from turnstile.producers.gateway.edge.api_errors import ApiError
from turnstile.producers.gateway.edge.body import Message

PIECE_BYTES = 65_536
ANSWERS_OF_A_KEY = 67_108_864
"""Bytes of large answers of one API key that may wait for their readers together in one process."""

_waiting: Counter[str] = Counter()


def is_large(head: Message) -> bool:
    """Return True for the start of an answer that is sent in pieces."""
    length = dict(head["headers"]).get(b"content-length", b"0")
    return int(length) > PIECE_BYTES


@contextmanager
def room_for(key: str, size: int) -> Iterator[None]:
    """Note an answer for as long as it waits for its reader. Raises ApiError when the key's are too large (429)."""
    if key and _waiting[key] and _waiting[key] + size > ANSWERS_OF_A_KEY:
        message = f"Answers to this API key of {ANSWERS_OF_A_KEY:,} bytes wait for their readers; please retry."
        raise ApiError(429, message, None, "too_many_unread_bytes", {"retry-after": "2", "connection": "close"})
    _waiting[key] += size
    try:
        yield
    finally:
        _waiting[key] -= size


async def send_in_pieces(send: Callable[[Message], Awaitable[None]], body: Message) -> None:
    """Send an answer's body; each piece waits until those before it are read."""
    content = body["body"]
    for start in range(0, len(content), PIECE_BYTES):
        await send({"type": body["type"], "body": content[start : start + PIECE_BYTES], "more_body": True})
    await send({**body, "body": b""})
