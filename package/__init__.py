"""A durable queue for chats with language models: `from turnstile import ChatClient`.

Each name is imported when it is first used, so a program that only asks loads neither LangChain nor Celery. `app` is the
Celery app: `celery -A turnstile worker`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from turnstile.memory.history import RedisChatMessageHistory
    from turnstile.producers.client import AsyncChatClient, AsyncTurn, ChatClient, Turn
    from turnstile.producers.transcript import HistoryMessage
    from turnstile.turns.errors import (
        BrokenRecord,
        CallNotAnswered,
        CallNotOpen,
        FileRefused,
        HistoryFull,
        InvalidTurn,
        LoginRefused,
        MissingExtra,
        MissingRight,
        QueueMemoryFull,
        QueueUnreachable,
        QuotaExceeded,
        SessionBusy,
        SessionHeld,
        SessionSpent,
        SettingError,
        TooManyWaiting,
        TurnCancelled,
        TurnConflict,
        TurnEnded,
        TurnFailed,
        TurnNotEnded,
        TurnNotFinished,
        TurnRefused,
        TurnstileError,
        UnknownBatch,
        UnknownFile,
        UnknownSession,
        UnknownTurn,
    )
    from turnstile.turns.schedules import Schedule
    from turnstile.turns.settings import Settings
    from turnstile.turns.states import State
    from turnstile.turns.store.holds import HeldSession
    from turnstile.turns.turn import Event, Record
    from turnstile.workers.app import app

__all__ = [
    "AsyncChatClient",
    "AsyncTurn",
    "BrokenRecord",
    "CallNotAnswered",
    "CallNotOpen",
    "ChatClient",
    "Event",
    "FileRefused",
    "HeldSession",
    "HistoryFull",
    "HistoryMessage",
    "InvalidTurn",
    "LoginRefused",
    "MissingExtra",
    "MissingRight",
    "QueueMemoryFull",
    "QueueUnreachable",
    "QuotaExceeded",
    "Record",
    "RedisChatMessageHistory",
    "Schedule",
    "SessionBusy",
    "SessionHeld",
    "SessionSpent",
    "SettingError",
    "Settings",
    "State",
    "TooManyWaiting",
    "Turn",
    "TurnCancelled",
    "TurnConflict",
    "TurnEnded",
    "TurnFailed",
    "TurnNotEnded",
    "TurnNotFinished",
    "TurnRefused",
    "TurnstileError",
    "UnknownBatch",
    "UnknownFile",
    "UnknownSession",
    "UnknownTurn",
    "app",
]

# Every public name that is not an error.
_HOMES = {
    "AsyncChatClient": "turnstile.producers.client",
    "AsyncTurn": "turnstile.producers.client",
    "ChatClient": "turnstile.producers.client",
    "Event": "turnstile.turns.turn",
    "HeldSession": "turnstile.turns.store.holds",
    "HistoryMessage": "turnstile.producers.transcript",
    "Record": "turnstile.turns.turn",
    "RedisChatMessageHistory": "turnstile.memory.history",
    "Schedule": "turnstile.turns.schedules",
    "Settings": "turnstile.turns.settings",
    "State": "turnstile.turns.states",
    "Turn": "turnstile.producers.client",
    "app": "turnstile.workers.app",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES.get(name, "turnstile.turns.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
