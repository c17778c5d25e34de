"""Turns from plain Celery apps: `send_task("workers.answer", args=["foo", "…"])`, knowing nothing of us.

Such a message is the only record of its turn. So it is read where it stands in its queue, oldest first, submitted under
its task id, and only then removed: every step can be repeated, by any worker, and the order is that of arrival.
"""

import asyncio
import base64
import json
import logging
from dataclasses import dataclass
from typing import Any, Self

import redis

from turns.errors import InvalidTurn, QueueMemoryFull, QueueUnreachable, TurnRefused
from turns.store import AsyncTurnStore
from turns.wire import TASK, Question

log = logging.getLogger(__name__)

_BATCH = 100
_BLOCK_SECONDS = 2
_PAUSE_SECONDS = 0.25
_OUTAGE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Message:
    """A task message of ours that a plain Celery app has sent."""

    id: str
    session: str
    question: Question
    reply: bool

    @classmethod
    def decode(cls, raw: bytes | str) -> Self | None:
        """Read a Celery message (protocol 2, JSON); None when it is not for `workers.answer`.

        Raises:
            InvalidTurn: it is, but its arguments are not `(session_id, question)`; `param` is its task id.
        """
        try:
            message = json.loads(raw)
            headers = message["headers"]
            if headers["task"] != TASK:
                return None
            id, args = str(headers["id"]), _arguments(message)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        try:
            session, question = _bind(*args)
        except TypeError:
            raise InvalidTurn("workers.answer takes (session_id, question).", param=id) from None
        return cls(id, session, question, reply=not headers.get("ignore_result"))


def _arguments(message: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    body = message["body"]
    if message["properties"].get("body_encoding") == "base64":
        body = base64.b64decode(body)
    args, kwargs, _embed = json.loads(body)
    return args, kwargs


def _bind(args: list[Any], kwargs: dict[str, Any]) -> tuple[str, Question]:
    def answer(session_id: str, question: Question) -> tuple[str, Question]:
        return session_id, question

    return answer(*args, **kwargs)


async def take_for_ever(store: AsyncTurnStore) -> None:
    """Submit such messages as they come."""
    queue = store.settings.intake_queue
    while True:
        try:
            # Moved onto itself: waits for a message without taking it.
            await store.client.blmove(queue, queue, _BLOCK_SECONDS, "RIGHT", "RIGHT")
            if not await take(store):
                await asyncio.sleep(_PAUSE_SECONDS)
        except QueueMemoryFull:
            await asyncio.sleep(_OUTAGE_SECONDS)
        except (QueueUnreachable, redis.RedisError, OSError) as error:
            log.debug("intake: %s", type(error).__name__)
            await asyncio.sleep(_OUTAGE_SECONDS)


async def take(store: AsyncTurnStore) -> int:
    """Submit the oldest messages that are there; how many left the queue. Other tasks' messages stay."""
    queue = store.settings.intake_queue
    taken = 0
    for raw in reversed(await store.client.lrange(queue, -_BATCH, -1)):
        try:
            message = Message.decode(raw)
            if message is None:
                continue
            await submit(store, message)
        except InvalidTurn as error:
            await refuse(store, error.param, error)
        taken += await store.client.lrem(queue, -1, raw)  # type: ignore[arg-type]  # redis-py takes bytes
    return taken


async def submit(store: AsyncTurnStore, message: Message) -> None:
    """Submit one message's turn; a refusal goes to where its sender waits. Raises QueueMemoryFull, QueueUnreachable."""
    try:
        await store.submit(message.id, message.session, message.question, reply=message.reply)
    except QueueMemoryFull:
        raise
    except TurnRefused as error:
        await refuse(store, message.id, error)


async def refuse(store: AsyncTurnStore, id: str, error: TurnRefused) -> None:
    """Tell a waiting Celery app that its turn was not accepted."""
    log.warning("turn %s refused: %s", id, error.code)
    result = {"exc_type": type(error).__name__, "exc_message": [str(error)], "exc_module": "turns.errors"}
    text = json.dumps({"task_id": id, "status": "FAILURE", "result": result, "traceback": None, "children": []})
    key = store.keys.celery_result(id)
    await store.client.set(key, text, px=round(store.settings.result_ttl * 1000))
    await store.client.publish(key, text)
