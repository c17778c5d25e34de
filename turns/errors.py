"""Everything that can go wrong with a turn, as one tree.

    TurnstileError
    ├── SettingError            a setting is missing or wrong; the message names the variable
    ├── MissingExtra            a library is not installed; the message names the extra. It is an ImportError, too
    ├── QueueUnreachable        Redis does not answer, or is still loading
    │   ├── LoginRefused        Redis refuses the user or password. Not tried again
    │   └── MissingRight        our Redis user lacks a right; the message names it. Waited out as an outage is
    ├── TurnRefused             the turn was not accepted; nothing was stored
    │   ├── InvalidTurn         session id, turn id, question or option of a wrong form or size
    │   ├── TooManyWaiting      the session's, or the whole queue's, cap on waiting turns is reached
    │   │   └── QuotaExceeded   a quota of the session's tenant is used up; the error names it
    │   ├── SessionSpent        the session has used the tokens, or the money, that one may
    │   ├── HistoryFull         the session's history has as many messages as one may have
    │   ├── QueueMemoryFull     Redis is over maxmemory; running turns still finish
    │   ├── TurnConflict        the turn id, or the id of a new session, is taken by something else
    │   ├── CallNotOpen         no such call waits for an answer: it never did, was answered, or its time is over
    │   ├── CallNotAnswered     an open call has no answer among those given, or one that decides nothing
    │   ├── SessionHeld         the session waits for answers to its open calls
    │   ├── SessionBusy         another turn of the session is under way, and the question was not to wait
    │   └── TurnNotEnded        what is asked for has to wait for the end of a turn
    ├── BrokenRecord            a key holds another type than Turnstile's: something else writes to this Redis
    ├── UnknownTurn             no such turn, or its record has expired
    ├── UnknownSession          nothing is known of such a session
    ├── FileRefused             a file is too large, or a tenant has too many
    ├── UnknownFile             no such file, or it has expired
    ├── UnknownBatch            no such batch, or it has expired
    ├── TurnNotFinished         the time-out passed first; the turn goes on
    └── TurnEnded               the turn ended without an answer
        ├── TurnFailed          carries `code` and a message safe to show
        └── TurnCancelled

Messages say what to do next, and never hold a question or an answer.
"""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

# The module of these classes in Celery's results, whatever the package is called: callers of all versions read it.
WIRE_MODULE = "turns.errors"


class TurnstileError(Exception):
    """The base of every error that Turnstile raises."""


class SettingError(TurnstileError):
    """A setting is missing or wrong; the message names the environment variable."""


class MissingExtra(TurnstileError, ImportError):
    """A library that this part needs is not installed; the message says what to install."""


class QueueUnreachable(TurnstileError):
    """Redis does not answer."""


class LoginRefused(QueueUnreachable):
    """Redis refuses the user or the password in REDIS_URL."""


class MissingRight(QueueUnreachable):
    """Our Redis user lacks a right that a call needs; nothing is done until somebody grants it."""


class TurnRefused(TurnstileError):
    """The turn was not accepted, and nothing was stored."""

    code: ClassVar[str] = "refused"


class InvalidTurn(TurnRefused):
    """The session id, turn id, question or an option has a wrong form or size.

    `param` names the one that is wrong; a Celery caller, who gets the message alone, has it empty.
    """

    code = "invalid"

    def __init__(self, message: str, param: str = "") -> None:
        super().__init__(message)
        self.param = param


class TooManyWaiting(TurnRefused):
    """A cap on waiting turns is reached: try again later."""

    code = "too_many_waiting"


class QuotaExceeded(TooManyWaiting):
    """A quota of the tenant is used up: its name, its size, and the seconds until it may be worthwhile to ask again."""

    code = "quota_exceeded"

    def __init__(self, message: str, quota: str = "", limit: float = 0, wait: float = 0.0) -> None:
        super().__init__(message)
        self.quota = quota
        self.limit = limit
        self.wait = wait


class SessionSpent(TurnRefused):
    """The session has used the tokens, or the money, that one session of its tenant may: go on in a new session."""

    code = "session_spent"


class HistoryFull(TurnRefused):
    """The session's history has as many messages as one may have: go on in a new session."""

    code = "history_full"


class QueueMemoryFull(TurnRefused):
    """Redis is over its `maxmemory` and takes no new work; accepted turns still finish."""

    code = "queue_memory_full"


class TurnConflict(TurnRefused):
    """The turn id was already used for another question or session."""

    code = "turn_conflict"


class CallNotOpen(TurnRefused):
    """No such call waits for an answer: it never did, was answered already, or the time for it is over.

    `call` is its id, where one is to blame.
    """

    code = "call_not_open"

    def __init__(self, message: str, call: str = "") -> None:
        super().__init__(message)
        self.call = call


class CallNotAnswered(TurnRefused):
    """An open call has no answer among those given, or one that decides nothing: answer all open calls at once.

    `call` is its id, where it has no answer.
    """

    code = "call_not_answered"

    def __init__(self, message: str, call: str = "") -> None:
        super().__init__(message)
        self.call = call


class SessionHeld(TurnRefused):
    """The session waits for answers to its open calls: answer or release them, or ask with another `when_held`."""

    code = "session_held"


class SessionBusy(TurnRefused):
    """Another turn of the session is under way: ask when that has ended, or with another `when_busy`."""

    code = "session_busy"


class TurnNotEnded(TurnRefused):
    """The operation has to wait for the end of a turn: try again then."""

    code = "turn_not_ended"


class UnknownSession(TurnstileError):
    """Nothing is known of such a session: it was never used, was erased, or has expired."""


class BrokenRecord(TurnstileError):
    """A key of a session holds another type than Turnstile's, so it can be neither read nor written."""


class FileRefused(TurnstileError):
    """A file is too large, or its tenant has no room for more files."""


class UnknownFile(TurnstileError):
    """There is no such file: never uploaded, deleted, or expired."""


class UnknownBatch(TurnstileError):
    """There is no such batch: never created, or expired."""


UNREADABLE = "The history of this session cannot be read: its key holds another type. Erase the session, or move that key."
"""The message of a BrokenRecord whose key is the history."""


class UnknownTurn(TurnstileError):
    """There is no such turn: never accepted, erased, or its record has expired."""


class TurnNotFinished(TurnstileError, TimeoutError):
    """The time-out passed before the turn ended; the turn itself goes on."""


class TurnEnded(TurnstileError):
    """The turn ended without an answer."""


class TurnFailed(TurnEnded):
    """The turn failed for good. `code` is a word for programs; the message is for people.

    Codes: `model_timeout`, `model_unreachable`, `model_overloaded`, `rate_limited`, `invalid_request`, `authentication`,
    `context_length_exceeded`, `content_filter`, `chain_error`, `history_unreadable`, `deadline_exceeded`,
    `worker_lost`, `unknown_chain`, `limit_reached`, `step_not_storable`, `steps_unreadable`, `internal`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class TurnCancelled(TurnEnded):
    """The turn was cancelled before it had an answer."""


def _answer_to_wire_name() -> None:
    """Let Celery, which looks in `sys.modules`, find these classes, unless the program has a package `turns` of its own."""
    other = find_spec("turns")
    if other is None or (other.origin and Path(other.origin).samefile(Path(__file__).with_name("__init__.py"))):
        sys.modules.setdefault(WIRE_MODULE, sys.modules[__name__])


_answer_to_wire_name()
