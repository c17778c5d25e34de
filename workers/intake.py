"""Turns from plain Celery apps: `send_task("workers.answer", args=["foo", "…"])`, knowing nothing of us.

Such a message is the only record of its turn. So it is read where it stands in its queue, oldest first, submitted under
its task id, and only then removed: every step can be repeated, by any worker, and the order is that of arrival.
"""

import asyncio
import base64
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Self

import redis

from turns.errors import InvalidTurn, QueueMemoryFull, QueueUnreachable, TooManyWaiting, TurnRefused
from turns.store import AsyncTurnStore, Call
from turns.wire import TASK, Question
from workers.health import Beat

log = logging.getLogger(__name__)

_BATCH = 100
# Where kombu puts messages that were sent with a priority.
_PRIORITIES = tuple(f"\x06\x16{step}" for step in (9, 6, 3))
_BLOCK_SECONDS = 2
_PAUSE_SECONDS = 0.25
_OUTAGE_SECONDS = 1.0
_REST = 20


@dataclass(frozen=True, slots=True)
class Message:
    """A task message of ours that a plain Celery app has sent."""

    id: str
    session: str
    question: Question
    reply: bool

    @classmethod
    def decode(cls, raw: bytes | str) -> Self | None:
        """Read a Celery message (protocol 2); None when it is not for `workers.answer`.

        Raises:
            InvalidTurn: it is, but no turn can be made of it; `param` is its task id.
        """
        try:
            message = json.loads(raw)
            headers = message["headers"]
            if headers["task"] != TASK:
                return None
            id = str(headers["id"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        for name in ("eta", "expires"):
            if headers.get(name):
                raise InvalidTurn(f"Turns run in the order asked, and end in their history: {name} does not apply.", param=id)
        return cls(id, *bind(id, *_arguments(id, message)), reply=not headers.get("ignore_result"))


def _arguments(id: str, message: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    try:
        body = message["body"]
        if message["properties"].get("body_encoding") == "base64":
            body = base64.b64decode(body)
        args, kwargs, _embed = json.loads(body)
        return args, kwargs
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InvalidTurn("Send workers.answer as plain JSON: serializer='json', without compression.", param=id) from None


def bind(id: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[str, Question]:
    """The session id and the question among a task's arguments. Raises InvalidTurn."""

    def answer(session_id: str, question: Question) -> tuple[str, Question]:
        return session_id, question

    try:
        return answer(*args, **kwargs)
    except TypeError:
        raise InvalidTurn("workers.answer takes (session_id, question).", param=id) from None


async def take_for_ever(store: AsyncTurnStore, beat: Beat) -> None:
    """Submit such messages as they come; `beat` after each look."""
    queue = store.settings.intake_queue
    while True:
        try:
            # Moved onto itself: waits for a message without taking it.
            await store.client.blmove(queue, queue, _BLOCK_SECONDS, "RIGHT", "RIGHT")
            began = monotonic()
            taken = await take(store)
            beat()
            if not taken:
                # Others' messages may stand there by the thousand: looking through them must not become the main job.
                await asyncio.sleep(max(_PAUSE_SECONDS, _REST * (monotonic() - began)))
        except QueueMemoryFull:
            await asyncio.sleep(_OUTAGE_SECONDS)
        except (QueueUnreachable, redis.RedisError, OSError) as error:
            log.debug("intake: %s", type(error).__name__)
            await asyncio.sleep(_OUTAGE_SECONDS)


async def take(store: AsyncTurnStore) -> int:
    """Submit the oldest messages that are there; how many left the queue. Other tasks' messages stay."""
    queue = store.settings.intake_queue
    return sum([await _take(store, queue + mark) for mark in ("", *_PRIORITIES)])


async def _take(store: AsyncTurnStore, queue: str) -> int:
    # Each look is one snapshot from the oldest message on; two put together could have a gap, and so break the order.
    most = _BATCH
    while True:
        seen: list[bytes] = await store.run(Call("LRANGE", (queue, -most, -1), list))
        taken = await _accept_all(store, queue, [(raw, message) for raw in reversed(seen) if (message := _read(raw))])
        if taken or len(seen) < most:
            return taken
        most *= 10


def _read(raw: bytes) -> Message | InvalidTurn | None:
    try:
        return Message.decode(raw)
    except InvalidTurn as error:
        return error


async def _accept_all(store: AsyncTurnStore, queue: str, found: list[tuple[bytes, Message | InvalidTurn]]) -> int:
    taken, full = 0, set[str]()
    for raw, message in found:
        session = message.session if isinstance(message, Message) else ""
        if session in full:
            continue
        try:
            taken += await _accept(store, queue, raw, message)
        except TooManyWaiting:
            # It stays where it is until there is room, and so do those of its session behind it.
            full.add(session)
    return taken


async def _accept(store: AsyncTurnStore, queue: str, raw: bytes, message: Message | InvalidTurn) -> int:
    if isinstance(message, InvalidTurn):
        await refuse(store, message.param, message)
    else:
        await submit(store, message)
    return int(await store.client.lrem(queue, -1, raw))  # type: ignore[arg-type]  # redis-py takes bytes


async def submit(store: AsyncTurnStore, message: Message) -> None:
    """Submit one message's turn; a refusal goes to where its sender waits.

    Raises:
        TooManyWaiting, QueueMemoryFull, QueueUnreachable: it may be submitted later.
    """
    try:
        await store.submit(message.id, message.session, message.question, reply=message.reply)
    except (TooManyWaiting, QueueMemoryFull):
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
