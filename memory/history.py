"""A session's history in Redis, for LangChain: a drop-in for langchain_community's class of the same name.

Both classes read and write the same lists. This one reads a window instead of everything when asked to, adds many
messages in one round trip, has async methods that do not occupy a thread, shares one connection pool for each URL,
and passes over elements that hold no message instead of failing on them.
"""
# ruff: noqa: E402 - a missing extra is named before anything of it is imported

from turnstile.turns.extras import need

need("history")

import logging
from collections.abc import Sequence

import redis
import redis.asyncio
from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import BaseMessage

from turnstile.memory.codec import decode, encode
from turnstile.memory.open_turn import OpenTurn, current
from turnstile.memory.window import Window, fit
from turnstile.turns.redis.connection import connect, connect_async
from turnstile.turns.redis.keys import Keys

logger = logging.getLogger(__name__)


class RedisChatMessageHistory(BaseChatMessageHistory):
    """The messages of one session, oldest first.

    Args:
        session_id: names the session.
        url: the server, as in `turnstile.turns.redis.connection`.
        key_prefix: stands before the session in the key.
        ttl: seconds that the history is kept after each addition; None for ever.
        window: most messages to read, the newest, cut as `turnstile.memory.window.fit` does; None reads all, uncut.

    `broken` tells how many elements the latest read passed over because they hold no message.

    Inside a turn of the same history nothing here talks to Redis: `messages` is the window that was claimed with the
    turn and what was added since, and what is added waits for the turn's commit. `clear` is refused there: it could
    not be undone if the turn fails or runs again. Histories of other sessions are read and written at once, also
    inside a turn.

    Outside a turn an addition whose reply is lost on the way may be stored twice, because redis-py sends it again.
    """

    def __init__(
        self,
        session_id: str,
        url: str = "redis://localhost:6379/0",
        key_prefix: str = Keys().history_prefix,
        ttl: int | None = None,
        *,
        window: int | None = None,
    ) -> None:
        self.redis_client = connect(url)
        self.session_id = session_id
        self.url = url
        self.key_prefix = key_prefix
        self.ttl = ttl
        self.window = window
        self.broken = 0

    @property
    def key(self) -> str:
        """The list in Redis, newest message first."""
        return Keys(history_prefix=self.key_prefix).history(self.session_id)

    @property
    def messages(self) -> list[BaseMessage]:
        """The messages, oldest first. Reads Redis each time, except inside a turn."""
        if turn := self._turn():
            return turn.messages
        return self._read(self.redis_client.lrange(self.key, *self._range()))

    @messages.setter
    def messages(self, messages: list[BaseMessage]) -> None:
        raise NotImplementedError("A history cannot be assigned: use add_messages.")

    async def aget_messages(self) -> list[BaseMessage]:
        """Return the messages, oldest first. Reads Redis each time, except inside a turn."""
        if turn := self._turn():
            return turn.messages
        return self._read(await connect_async(self.url).lrange(self.key, *self._range()))

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Add messages, all or none of them, in one round trip; inside a turn, stage them."""
        pipeline = self.redis_client.pipeline()
        self._add(pipeline, messages)
        pipeline.execute()

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Add messages, all or none of them, in one round trip; inside a turn, stage them."""
        pipeline = connect_async(self.url).pipeline()
        self._add(pipeline, messages)
        await pipeline.execute()

    def clear(self) -> None:
        """Delete the history.

        Raises:
            RuntimeError: inside a turn of this history.
        """
        self._refuse_in_turn()
        self.redis_client.delete(self.key)

    async def aclear(self) -> None:
        """Delete the history.

        Raises:
            RuntimeError: inside a turn of this history.
        """
        self._refuse_in_turn()
        await connect_async(self.url).delete(self.key)

    def _turn(self) -> OpenTurn | None:
        turn = current.get()
        return turn if turn is not None and turn.key == self.key else None

    def _range(self) -> tuple[int, int]:
        return (0, -1) if self.window is None else (0, max(1, self.window) - 1)

    def _read(self, elements: Sequence[bytes | str]) -> list[BaseMessage]:
        found = _all(elements) if self.window is None else fit(elements, self.window)
        self.broken = found.broken
        if found.broken:
            logger.warning("Passed over %d broken elements in the history of %s", found.broken, self.session_id)
        return found.messages

    def _add(self, pipeline: redis.client.Pipeline | redis.asyncio.client.Pipeline, messages: Sequence[BaseMessage]) -> None:
        """Queue the addition; an empty pipeline sends nothing."""
        if turn := self._turn():
            turn.stage(messages)
        elif messages:
            pipeline.lpush(self.key, *[encode(message) for message in messages])
            if self.ttl:
                pipeline.expire(self.key, self.ttl)
            else:  # one who wrote before may have given it a time to live
                pipeline.persist(self.key)

    def _refuse_in_turn(self) -> None:
        if self._turn():
            raise RuntimeError("A turn cannot clear the history it adds to: erase the session between turns.")


def _all(elements: Sequence[bytes | str]) -> Window:
    stored = [decode(element) for element in reversed(elements)]
    messages = [one.message for one in stored if one is not None]
    return Window(messages, len(stored) - len(messages))
