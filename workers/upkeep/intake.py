"""Turns from plain Celery apps, which call `send_task("workers.answer", args=["foo", "…"])` and know nothing of Turnstile.

Such a message is the only record of its turn. So it is read where it stands in its queue, oldest first, submitted under
its task id, and only then removed: every step can be repeated, by any worker, and the order is that of arrival.
"""

import asyncio
import logging
from contextlib import suppress
from time import monotonic

import redis
from celery.worker.state import revoked

from turnstile.turns.errors import (
    BrokenRecord,
    MissingRight,
    QueueMemoryFull,
    QueueUnreachable,
    TooManyWaiting,
    TurnRefused,
    UnknownTurn,
)
from turnstile.turns.store.runner import Call
from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.workers.celery_patches.repeated_errors import OutageLog
from turnstile.workers.process.health import Beat
from turnstile.workers.upkeep.celery_messages import Message, Refused, read

log = logging.getLogger(__name__)

_BATCH = 100
# Suffixes of the queues for kombu's priorities; 0 comes first.
_PRIORITIES = tuple(f"\x06\x16{step}" for step in (3, 6, 9))
_BLOCK_SECONDS = 2
_PAUSE_SECONDS = 0.25
_OUTAGE_SECONDS = 1.0
_REST = 20
_LONGEST_REST_SECONDS = 10.0
_ASIDE_SECONDS = 60.0
_MOST_ASIDE = 10_000


class Intake:
    """Submits the messages of plain Celery apps. One broken session, or one bad message, is set aside for a minute."""

    def __init__(self, store: AsyncTurnStore) -> None:
        self._store = store
        queue = store.keys.queue(store.settings.intake_queue)
        self.queues = tuple(queue + mark for mark in ("", *_PRIORITIES))
        self._aside: dict[str, float] = {}

    async def take_for_ever(self, queue: str, beat: Beat) -> None:
        """Submit the messages of one of the queues as they come; `beat` after each look."""
        outage = OutageLog(log, f"the queue {queue!r} cannot be read")
        while True:
            try:
                # Moved onto itself: waits for a message without taking it.
                await self._store.run(Call("BLMOVE", (queue, queue, "RIGHT", "RIGHT", _BLOCK_SECONDS), bool, blocks=True))
                began = monotonic()
                taken = await self._take(queue)
                beat()
                outage.end()
                if not taken:
                    # The queue may hold thousands of other tasks' messages: reading them must not become the main job.
                    await asyncio.sleep(min(_LONGEST_REST_SECONDS, max(_PAUSE_SECONDS, _REST * (monotonic() - began))))
            except (redis.ResponseError, BrokenRecord, MissingRight) as error:
                beat()
                outage.record(error)
                await asyncio.sleep(_LONGEST_REST_SECONDS)
            except QueueMemoryFull:
                # There is no room for a turn, which a restart of this worker would not change.
                beat()
                await asyncio.sleep(_OUTAGE_SECONDS)
            except (QueueUnreachable, redis.RedisError, OSError) as error:
                log.debug("intake: %s", type(error).__name__)
                await asyncio.sleep(_OUTAGE_SECONDS)

    async def take(self) -> int:
        """Submit the oldest messages that are there; how many left their queues. Other tasks' messages stay."""
        return sum([await self._take(queue) for queue in self.queues])

    async def _take(self, queue: str) -> int:
        # Each look is one snapshot from the oldest message on; two put together could have a gap, and so break the order.
        most = _BATCH
        while True:
            seen: list[bytes] = await self._store.run(Call("LRANGE", (queue, -most, -1), list))
            taken = await self._accept_all(queue, [(raw, message) for raw in reversed(seen) if (message := read(raw))])
            if taken or len(seen) < most:
                return taken
            most *= 10

    async def _accept_all(self, queue: str, found: list[tuple[bytes, Message | Refused]]) -> int:
        now = monotonic()
        taken, waiting = 0, {session for session, until in self._aside.items() if until > now}
        for raw, message in found:
            session = message.session if isinstance(message, Message) else ""
            if session in waiting:
                continue
            try:
                taken += await self._accept(queue, raw, message)
                self._aside.pop(session, None)
            except TooManyWaiting:
                # It stays where it is until there is room, and so do those of its session behind it.
                waiting.add(session)
            except (QueueMemoryFull, QueueUnreachable, redis.ConnectionError, redis.TimeoutError, OSError):
                raise
            except Exception as error:  # whatever it is, the others' messages are not to wait for it
                waiting.add(session)
                await self._set_aside(session, error)
        return taken

    async def _set_aside(self, session: str, error: Exception) -> None:
        if session not in self._aside:
            log.error("session %s: %s; its messages wait in their queue: repair its keys", session, type(error).__name__)
        if len(self._aside) >= _MOST_ASIDE:
            self._aside.clear()
        self._aside[session] = monotonic() + _ASIDE_SECONDS
        await self._store.count("broken")

    async def _accept(self, queue: str, raw: bytes, message: Message | Refused) -> int:
        if isinstance(message, Refused):
            await self._refuse(message)
        else:
            await self._submit(message)
        return await self._store.run(Call("LREM", (queue, -1, raw), int))

    async def _submit(self, message: Message) -> None:
        try:
            await self._store.submit(message.id, message.session, message.question, message.options, reply=message.reply)
        except (TooManyWaiting, QueueMemoryFull):
            raise
        except TurnRefused as error:
            await self._refuse(Refused((message.id,), error))
        # Only now: a revoke that is heard after this look finds the turn.
        if message.id in revoked:
            with suppress(UnknownTurn):
                await self._store.cancel(message.id, revoked=True)

    async def _refuse(self, refused: Refused) -> None:
        """Tell those who wait for it. The result of another turn with the same id stays."""
        delivered = bool(refused.ids) and await self._store.refuse(refused.ids, refused.error)
        if not delivered:
            await self._store.count("refused")
        if refused.ids and not delivered:
            log.warning("a plain Celery message was dropped: another turn has its id")
        else:
            log.warning("a plain Celery message was refused: %s", refused.error.code)
