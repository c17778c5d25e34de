"""Flower's page of queues, read over the same connection as everything else.

Flower takes the broker's URL apart by itself, and loses the database and user of a Unix socket, the database and all but one
host behind Sentinel, and TLS that the URL asks for.
"""

import logging
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from kombu.transport.redis import Channel

from turnstile.turns.redis.connection import connect_async, server_url
from turnstile.turns.settings import settings
from turnstile.turns.store.turns import AsyncTurnStore

_Channel: Any = Channel  # its stubs leave these out
_SUFFIXES = ("", *(f"{_Channel.sep}{step}" for step in _Channel.priority_steps if step))


class Queues:
    """A reader of the number of messages in each queue, in place of Flower's own reader of brokers."""

    def __init__(self, *_: Any, broker_options: Mapping[str, Any], **__: Any) -> None:
        self._prefix = broker_options.get("global_keyprefix", "")

    async def queues(self, names: Iterable[str]) -> list[dict[str, Any]]:
        """Return the name and the number of messages of each queue: all priorities, and what waits in tenants' lines for it."""
        names, ready = list(names), await AsyncTurnStore(settings()).stats()
        pipeline = connect_async(server_url(settings())).pipeline(transaction=False)
        for name in names:
            for suffix in _SUFFIXES:
                pipeline.llen(f"{self._prefix}{name}{suffix}")
        lengths = iter(await pipeline.execute())
        return [
            {"name": name, "messages": sum(next(lengths) for _ in _SUFFIXES) + ready.get(f"ready:{name}", 0)} for name in names
        ]


def show_in_flower() -> None:
    """Let Flower read queues with `Queues`; does nothing in a process without Flower."""
    if views := sys.modules.get("flower.views"):
        views.Broker = Queues  # type: ignore[attr-defined]  # a module that is only there with Flower
        logging.getLogger("flower.inspector").addFilter(_has_news)


def _has_news(record: logging.LogRecord) -> bool:
    """Drop Flower's warnings at its start, four for each time that it finds no worker."""
    return record.msg != "Inspect method %s failed"
