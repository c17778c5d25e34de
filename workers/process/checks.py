"""Checks before a worker starts: the rights of its Redis user, the schema, and the settings of the workers at work."""

import asyncio
import logging

import redis

from turnstile.turns.errors import LoginRefused, QueueUnreachable, SettingError
from turnstile.turns.store import registry
from turnstile.turns.store.durability import faults
from turnstile.turns.store.turns import AsyncTurnStore

log = logging.getLogger(__name__)

# An outage tells nothing: the services wait it out.
_OUTAGE = (QueueUnreachable, redis.RedisError, OSError, TimeoutError)


async def check_rights(store: AsyncTurnStore, seconds: float) -> None:
    """Raise SettingError when Redis refuses the login, or the user lacks a right: turns would break off half-way."""
    try:
        async with asyncio.timeout(seconds):
            lacking = await store.lacking("worker")
    except LoginRefused as error:
        raise SettingError(str(error)) from None
    except _OUTAGE:
        return
    if lacking:
        raise SettingError(f"the Redis user in REDIS_URL lacks {' '.join(lacking)}: grant them with ACL SETUSER.")


async def check_schema(store: AsyncTurnStore, seconds: float) -> None:
    """Raise SettingError when a newer version has stored what this one would misread."""
    try:
        objection = await asyncio.wait_for(store.check_schema(), seconds)
    except _OUTAGE:
        return
    if objection:
        raise SettingError(objection)


async def warn_of_server(store: AsyncTurnStore, seconds: float) -> None:
    """Log by which of the server's settings accepted turns can be lost, where our user may ask for them."""
    try:
        async with asyncio.timeout(seconds):
            facts = await store.info()
    except _OUTAGE:
        return
    for fault in faults(facts):
        log.warning("%s", fault)


async def check_agreement(store: AsyncTurnStore, seconds: float) -> None:
    """Raise SettingError when a worker at work has another value of a setting that all must share."""
    try:
        others = await asyncio.wait_for(store.workers(), seconds)
    except _OUTAGE:
        return
    if objection := registry.objection(store.settings, others):
        raise SettingError(objection)
    for difference in registry.oddities(store.settings, others):
        log.warning("%s", difference)
