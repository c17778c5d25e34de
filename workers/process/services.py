"""The list of a worker's services: each with its name, its patience, and what it does."""

import asyncio
from collections.abc import Iterator
from functools import partial

from turnstile.turns.store.audit import audit
from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.workers.process.leases import LeaseKeeper
from turnstile.workers.process.service import Run, Service, every, tick
from turnstile.workers.upkeep.intake import Intake
from turnstile.workers.upkeep.presence import check_presence
from turnstile.workers.upkeep.schedules import ScheduleAsker
from turnstile.workers.upkeep.sweep import HearModels, sweep, sweep_erased
from turnstile.workers.webhooks.sender import WebhookSender

_PATIENCE = 10.0
_PRESENCE_SECONDS = 0.2
_SCHEDULES_SECONDS = 1.0
_AUDIT_LOOK_SECONDS = 10.0
_NOTE_SECONDS = 10.0


def services(
    store: AsyncTurnStore, leases: LeaseKeeper, register: Run, webhooks: WebhookSender, hear: HearModels
) -> list[Service]:
    """Return every service of a worker process; `register` keeps it among the registered workers."""
    sweeping = store.settings.sweep_seconds
    return [
        Service("loop", _PATIENCE, tick),
        Service("registered", _PATIENCE, register),
        Service("subscribed", _PATIENCE + 5, leases.listen),
        *upkeep(store, leases.worker, hear),
        *_intake(store),
        Service("webhooks", _PATIENCE + 3 * sweeping, every(sweeping, webhooks.remind, "repeat webhooks")),
    ]


def upkeep(store: AsyncTurnStore, worker: str, hear: HearModels) -> list[Service]:
    """Return the services that one worker does for all. None waits for another, except that a death is swept up at once.

    `hear` is told which models are limited.
    """
    seconds, death = store.settings.sweep_seconds, asyncio.Event()
    present = partial(check_presence, store, worker, death)
    return [
        Service("presence", _PATIENCE, every(min(_PRESENCE_SECONDS, seconds), present, "check presence")),
        Service("sweeping", _PATIENCE + 3 * seconds, every(seconds, partial(sweep, store, worker, hear), "sweep", wake=death)),
        Service("erased", _PATIENCE + 3 * seconds, every(seconds, partial(sweep_erased, store), "remove erased turns")),
        Service("schedules", _PATIENCE + 30, every(_SCHEDULES_SECONDS, ScheduleAsker(store).look, "ask what is scheduled")),
        Service("audit", _PATIENCE + 300, every(_AUDIT_LOOK_SECONDS, partial(audit, store), "audit")),
        Service("noting", _PATIENCE + 3 * _NOTE_SECONDS, every(_NOTE_SECONDS, store.note_minute, "note the minute")),
    ]


def _intake(store: AsyncTurnStore) -> Iterator[Service]:
    intake = Intake(store)
    for number, queue in enumerate(intake.queues):
        name = f"intake {number}" if number else "intake"
        yield Service(name, _PATIENCE + 20, partial(intake.take_for_ever, queue))
