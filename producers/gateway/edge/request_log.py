"""The gateway's log: a line for each request when its answer has ended. Paths hold names, so their patterns are told."""

import logging
import sys
from contextvars import ContextVar
from time import monotonic

from turnstile.producers.gateway.edge.body import Scope
from turnstile.producers.gateway.edge.caller import CALLER, Caller
from turnstile.turns.ids import is_turn

log = logging.getLogger(__name__)

_QUIET = ("/healthz", "/readyz", "/metrics", "/static/")
_LEFT = 499
_FORM = "%(asctime)s %(levelname)s %(message)s"


class RequestLine:
    """One request's line: its id, tenant, method, path, turn, status, and the time it took."""

    def __init__(self, scope: Scope, id: str) -> None:
        self._scope, self._id = scope, id
        self._began = monotonic()
        self.turn = ""
        self.status = _LEFT
        """The answer's status; 499 for a client that left before it."""
        _current.set(self)

    def write(self) -> None:
        """Write the line: a warning for an error of the gateway's, and of use for debugging alone for a probe."""
        path = str(getattr(self._scope.get("route"), "path", "-"))
        level = logging.WARNING if self.status >= 500 else logging.DEBUG if path.startswith(_QUIET) else logging.INFO
        caller: Caller = self._scope.get(CALLER) or Caller()
        turn = self.turn or self._scope.get("path_params", {}).get("response_id", "-")
        took = monotonic() - self._began
        about = (
            self._id,
            caller.tenant or "-",
            self._scope["method"],
            path,
            turn if is_turn(turn) else "-",
            self.status,
            took,
        )
        log.log(level, "%s %s %s %s %s %d %.3f s", *about)


_current: ContextVar[RequestLine | None] = ContextVar("request line", default=None)


def note_turn(id: str) -> None:
    """Note the turn that the current request is about."""
    if line := _current.get():
        line.turn = id


def open_log(level: str) -> None:
    """Let the package's messages from `level` on reach stderr, unless the process has handlers of its own."""
    ours = logging.getLogger("turnstile")
    ours.setLevel(level)
    if not logging.getLogger().handlers and not ours.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter(_FORM))
        ours.addHandler(handler)
