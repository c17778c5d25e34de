"""Turns that are revoked, as anybody can who knows Celery, and schedules that are removed."""

import time
from contextlib import suppress

import redis
from celery.result import AsyncResult
from kombu.exceptions import OperationalError

from tests.chaos import record, scheduled
from tests.chaos.faults import Fault
from tests.chaos.scene import Scene
from tests.support.worker_parts import plain_app
from turnstile.turns.errors import TurnstileError

_RECENT = 30


def revoke(scene: Scene, fault: Fault) -> None:
    """Revoke a turn that has not ended, if there is one: by the app's control, by its result, or by Flower."""
    chosen = fault.chosen
    recent = list(record.read(scene.records[:-1]).values())
    for entry in chosen.sample(sorted(recent, key=lambda entry: entry.sent)[-_RECENT:], min(_RECENT, len(recent))):
        if _is_open(scene, entry.turn):
            break
    else:
        return
    scene.notes.note("revoked", entry.turn, entry.session, time.time())
    with scene.noted(fault.kind, turn=entry.turn):
        _revoke(scene, entry.turn, chosen.choice(("control", "result", "flower")), terminate=chosen.random() < 0.5)


def remove_schedule(scene: Scene, fault: Fault) -> None:
    """Remove a rule, or a turn that is to be asked later, if there is one."""
    with suppress(TurnstileError, redis.RedisError):
        if found := scene.store.schedules():
            with scene.noted(fault.kind):
                scheduled.remove(scene.store, scene.notes, fault.chosen.choice(found).id)


def _is_open(scene: Scene, turn: str) -> bool:
    with suppress(TurnstileError, redis.RedisError):
        return not scene.store.status(turn).state.ended
    return False


def _revoke(scene: Scene, turn: str, way: str, *, terminate: bool) -> None:
    if way == "flower":
        scene.flower.revoke(turn, terminate=terminate)
        return
    with plain_app(scene.server.url) as app, suppress(OperationalError, OSError):
        if way == "control":
            app.control.revoke(turn, terminate=terminate)
        else:
            AsyncResult(turn, app=app).revoke(terminate=terminate)
