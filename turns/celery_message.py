"""Celery messages that the scripts put on queues themselves, and the names of the tasks and queues they are for."""

import json
from typing import Any

from turnstile.turns.errors import WIRE_MODULE, TurnRefused

TASK = "workers.answer"
WEBHOOK_TASK = "workers.notify"
CHAT, BATCH = "chat", "batch"
QUEUES = (CHAT, BATCH)
WEBHOOK_QUEUE = "webhooks"
ORIGIN = "turnstile"
"""The origin in the headers of a dispatch."""


def refused_result(id: str, error: TurnRefused) -> str:
    """Return the result, in Celery's form, of a task that was not accepted as a turn."""
    result = {"exc_type": type(error).__name__, "exc_message": [str(error)], "exc_module": WIRE_MODULE}
    return json.dumps({"task_id": id, "status": "FAILURE", "result": result, "traceback": None, "children": []})


def dispatch_message(*, show_content: bool = False) -> str:
    """Return the Celery message that dispatches a turn; `send_dispatch.lua` fills @id@, @session@, @queue@, @tag@.

    It names the turn and its session and nothing else, so there is nothing in it to hide or to lose; with `show_content`,
    Flower is told the question (@question@).
    """
    return _message(TASK, "@id@", "@session@", "('@session@', @question@)" if show_content else "('@session@',)")


def webhook_message() -> str:
    """Return the Celery message that sends a webhook off; `send_webhook.lua` fills @id@, @turn@, @queue@, @tag@."""
    return _message(WEBHOOK_TASK, "@id@", "@turn@", "('@turn@',)")


def _message(task: str, id: str, argument: str, shown: str) -> str:
    """Return a Celery message: protocol 2, JSON."""
    headers: dict[str, Any] = {
        "lang": "py",
        "task": task,
        "id": id,
        "shadow": None,
        "eta": None,
        "expires": None,
        "group": None,
        "group_index": None,
        "retries": 0,
        "timelimit": [None, None],
        "root_id": id,
        "parent_id": None,
        "argsrepr": shown,
        "kwargsrepr": "{}",
        "origin": ORIGIN,
        "ignore_result": True,
        "replaced_task_nesting": 0,
        "stamped_headers": None,
        "stamps": {},
    }
    embed = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    properties = {
        "correlation_id": id,
        "reply_to": "",
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": "@queue@"},
        "priority": 0,
        "body_encoding": "utf-8",
        "delivery_tag": "@tag@",
    }
    message = {
        "body": json.dumps([[argument], {}, embed]),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers,
        "properties": properties,
    }
    return json.dumps(message)
