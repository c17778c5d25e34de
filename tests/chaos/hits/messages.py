"""Faults of Celery's messages."""

import json
import time
from contextlib import suppress
from typing import Any

import redis

from tests.chaos import odd
from tests.chaos.faults import Fault
from tests.chaos.scene import Scene

_THIEF_SECONDS = 5


def lose(scene: Scene, fault: Fault) -> None:
    """Take a dispatch from its queue."""
    message = _steal(scene)
    if message:
        scene.stolen.append(message)
        with scene.noted(fault.kind, turn=_turn(message)):
            pass


def double(scene: Scene, fault: Fault) -> None:
    """Put a dispatch there twice."""
    message = _steal(scene)
    if message:
        with suppress(redis.RedisError), scene.noted(fault.kind, turn=_turn(message)):
            scene.client.rpush("chat", message, message)


def repeat(scene: Scene, fault: Fault) -> None:
    """Send a dispatch of long ago again."""
    if scene.stolen:
        message = fault.chosen.choice(scene.stolen)
        with suppress(redis.RedisError), scene.noted(fault.kind, turn=_turn(message)):
            scene.client.lpush("chat", message)


def send_odd(scene: Scene, fault: Fault) -> None:
    """Send a strange message to one of the queues."""
    message = odd.draw(fault.chosen, [*scene.shared, f"{odd.MARK}s"])
    if message.session:
        scene.notes.note("odd", message.turn, message.session, time.time())
    with suppress(redis.RedisError), scene.noted(fault.kind):
        scene.client.lpush(message.queue, message.raw)


def _steal(scene: Scene) -> bytes | None:
    with suppress(redis.RedisError):
        taken: Any = scene.client.brpop(["chat"], _THIEF_SECONDS)
        if taken and _turn(taken[1]):
            return bytes(taken[1])
    return None


def _turn(message: bytes) -> str:
    """The turn of a dispatch; nothing for somebody else's message."""
    with suppress(ValueError, KeyError, TypeError, RecursionError):
        return str(json.loads(message)["headers"]["id"]).removeprefix(odd.MARK)
    return ""
