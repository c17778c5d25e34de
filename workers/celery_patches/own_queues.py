"""The queues that belong to the scripts: only dispatches are consumed from them.

A message from elsewhere never reaches Celery, which would log its arguments, show them in `inspect active`, hold it for its
`eta`, or end the worker over what is no message at all.
"""

import json
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

from kombu.transport import redis
from kombu.transport.virtual import base

from turnstile.turns.celery_message import QUEUES, WEBHOOK_QUEUE
from turnstile.turns.errors import InvalidTurn, QueueMemoryFull, TurnRefused, TurnstileError
from turnstile.turns.settings import settings
from turnstile.turns.store.runner import Call
from turnstile.turns.store.turns import TurnStore
from turnstile.workers.upkeep.celery_messages import is_dispatch, known_ids, read

log = logging.getLogger(__name__)

_OWN = frozenset((*QUEUES, WEBHOOK_QUEUE))
_WRONG = InvalidTurn("This queue takes the task workers.answer alone, as JSON: send other tasks to another queue.", "queue")
_Channel: Any = redis.Channel  # their stubs leave out what transports override
_Transport: Any = redis.Transport
_deliver = _Transport._deliver


@cache
def turns() -> TurnStore:
    """Return the store of turns for Celery's own thread."""
    return TurnStore(settings())


def keep_to_dispatches() -> None:
    """Let workers of this process consume nothing but dispatches from the queues of the scripts."""
    _Channel._brpop_read = _if_json(_Channel._brpop_read)
    _Transport._deliver = _deliver_if_ours
    logging.getLogger(base.__name__).addFilter(_tell_calmly)


def _tell_calmly(record: logging.LogRecord) -> bool:
    """Replace kombu's warning about a message that comes while a worker ends, which reads like a loss."""
    if record.msg != base.W_NO_CONSUMERS:
        return True
    log.info("a message that came while this worker ends goes back into queue %s", *(record.args or ("?",)))
    return False


def _if_json(read: Callable[..., Any]) -> Callable[..., Any]:
    def read_if_json(channel: Any, **options: Any) -> Any:
        try:
            return read(channel, **options)
        except (ValueError, RecursionError):
            log.warning("a message that is not JSON was dropped from a queue of Turnstile's own")
            with suppress(TurnstileError):
                turns().count("refused")
            return True

    return read_if_json


def _deliver_if_ours(transport: Any, message: Any, queue: str) -> None:
    if queue not in _OWN or is_dispatch(message):
        _deliver(transport, message, queue)
        return
    try:
        _turn_away(turns(), message)
    except Exception as error:  # whatever it is, the worker is to live on
        log.error("a message from elsewhere was lost: %s", type(error).__name__)


def _turn_away(store: TurnStore, message: Any) -> None:
    """Hand a plain Celery message for `workers.answer` to the intake; refuse any other to its sender, and drop it."""
    text = json.dumps(message)
    if not read(text):
        log.warning("a message that is no turn was dropped from a queue of Turnstile's own")
        _refuse(store, message, _WRONG)
        return
    try:
        store.run(Call("LPUSH", (store.keys.queue(store.settings.intake_queue), text), int))
    except QueueMemoryFull as full:
        log.warning("a question that came straight to a queue of Turnstile's own was refused: Redis's memory is full")
        _refuse(store, message, full)


def _refuse(store: TurnStore, message: Any, error: TurnRefused) -> None:
    headers = message.get("headers") if isinstance(message, dict) else None
    ids = known_ids(headers.get("id") if isinstance(headers, dict) else None)
    if not (ids and store.refuse(ids, error)):
        store.count("refused")
