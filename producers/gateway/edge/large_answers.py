"""Large answers and streams: sent piece by piece, as the client reads; those of one API key have a bounded size together."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator

from turnstile.producers.gateway.edge.api_errors import ApiError
from turnstile.producers.gateway.edge.body import Message

PIECE_BYTES = 16_384
SMALL_BYTES = 16_384
"""A stream that holds less is not counted."""
ANSWERS_OF_A_KEY = 67_108_864
"""Bytes that answers of one API key may hold together in one process while they wait for their readers."""

_held: Counter[str] = Counter()


def is_large(head: Message) -> bool:
    """Return True for the start of an answer that is sent in pieces."""
    length = dict(head["headers"]).get(b"content-length", b"0")
    return int(length) > PIECE_BYTES


class Holding:
    """The memory that an answer holds, counted for its API key until the end of a `with`. Small ones are not counted.

    `sure`: the first size is counted without a refusal. A client needs the first event of what it asked, to go on from there.
    """

    def __init__(self, key: str, *, sure: bool = False) -> None:
        self._key = key
        self._bytes = 0
        self._sure = sure

    def __enter__(self) -> "Holding":
        return self

    def __exit__(self, *_: object) -> None:
        self.set(0)

    def set(self, size: int) -> None:
        """Say how many bytes the answer holds now. Raises ApiError when the key's are too many (429)."""
        counted = size if self._key and size > SMALL_BYTES else 0
        sure, self._sure = self._sure, False
        if counted == self._bytes:
            return
        others = _held[self._key] - self._bytes
        if counted > self._bytes and others and others + counted > ANSWERS_OF_A_KEY and not sure:
            raise _too_many()
        self._bytes = counted
        _held[self._key] = others + counted


def require_room(key: str) -> None:
    """Raise ApiError (429) where a key has no room for what it may ask: a quarter is left to answers that are under way."""
    if key and _held[key] > ANSWERS_OF_A_KEY * 3 // 4:
        raise _too_many()


def not_sent(turn: str) -> ApiError:
    """Return the error of a request that has been carried out, and whose answer there is no room for.

    The status is one at which clients do not ask anew by themselves; the SDKs do, since their repeats lead to the same turn.
    """
    where = f"retrieve the response {turn!r}, or " if turn else ""
    message = f"The request was carried out, but this API key has too many unread answers: {where}repeat it with its "
    message += "idempotency key. Without a key, a repeat is another request."
    return ApiError(409, message, None, "answer_not_sent", {"x-should-retry": "true", "connection": "close"})


def _too_many() -> ApiError:
    message = f"Answers to this API key of {ANSWERS_OF_A_KEY:,} bytes wait for their readers; please retry."
    return ApiError(429, message, None, "too_many_unread_bytes", {"retry-after": "2", "connection": "close"})


def pieces(content: bytes) -> Iterator[bytes]:
    """Yield the pieces that a content is sent in."""
    for start in range(0, len(content), PIECE_BYTES):
        yield content[start : start + PIECE_BYTES]


async def send_in_pieces(send: Callable[[Message], Awaitable[None]], body: Message) -> None:
    """Send an answer's body; each piece waits until those before it are read."""
    for piece in pieces(body["body"]):
        await send({"type": body["type"], "body": piece, "more_body": True})
    await send({**body, "body": b""})
