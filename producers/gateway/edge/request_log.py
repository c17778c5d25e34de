"""The gateway's log: a line for each request when its answer has ended. Paths hold names, so their patterns are told."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic
from typing import Any

from turnstile.producers.gateway.edge.body import Scope
from turnstile.producers.gateway.edge.caller import CALLER, Caller
from turnstile.producers.gateway.edge.request_trace import named_trace, within
from turnstile.turns.ids import is_turn
from turnstile.turns.logs import Facts, lines_about, trace_field, write_json
from turnstile.turns.repeated_errors import OneAMinute

log = logging.getLogger(__name__)

_QUIET = ("/healthz", "/readyz", "/metrics", "/admin/overview", "/static/")
_LEFT = 499
_FORM = "%(asctime)s %(levelname)s %(message)s"
_UVICORNS = ("uvicorn", "uvicorn.access")
_CUT = "Cancel %s running task(s)"
"""The beginning of uvicorn's error for requests that are still open at the end of an ordinary stop."""
_one_a_minute = OneAMinute()
"""Anybody can make uvicorn warn, of a request that is no HTTP for instance, and no key is asked for."""


class RequestLine:
    """One request's line: its id, tenant, method, path, turn, status, and the time it took."""

    def __init__(self, scope: Scope, id: str) -> None:
        self._scope, self._id = scope, id
        self._began = monotonic()
        self._turn = ""
        self._trace: dict[str, str] = {}
        self.status = _LEFT
        """The answer's status; 499 for a client that left before it."""
        _current.set(self)

    @contextmanager
    def open(self) -> Iterator[None]:
        """Let lines of the log say which request they are about, and turns belong to its trace; write its line at the end."""
        place = named_trace(self._scope)
        self._trace = trace_field(place.traceparent if place else None)
        with within(place, self._scope) as span, lines_about(self._facts):
            try:
                yield
            finally:
                self.write()
                if span:
                    self._note(span)

    def note_turn(self, id: str) -> None:
        """Note the turn that the request is about."""
        self._turn = id

    def write(self) -> None:
        """Write the line: a warning for an error of the gateway's, and of use for debugging alone for a probe."""
        level = logging.WARNING if self.status >= 500 else logging.DEBUG if self._path.startswith(_QUIET) else logging.INFO
        took = monotonic() - self._began
        about = (self._id, self._tenant or "-", self._scope["method"], self._path, self.turn or "-", self.status, took)
        log.log(level, "%s %s %s %s %s %d %.3f s", *about)

    @property
    def turn(self) -> str:
        """The turn that the request is about; empty where there is none."""
        turn = self._turn or self._scope.get("path_params", {}).get("response_id", "")
        return turn if is_turn(turn) else ""

    @property
    def _path(self) -> str:
        return str(getattr(self._scope.get("route"), "path", "-"))

    @property
    def _tenant(self) -> str:
        caller: Caller = self._scope.get(CALLER) or Caller()
        return caller.tenant

    def _facts(self) -> Facts:
        facts = {"request_id": self._id, "tenant": self._tenant, "turn": self.turn, **self._trace}
        return {name: value for name, value in facts.items() if value}

    def _note(self, span: Any) -> None:
        """Note in the request's span what is known at its end."""
        about = {"turnstile.request_id": self._id, "turnstile.tenant": self._tenant, "messaging.message.id": self.turn}
        span.set_attributes({name: value for name, value in about.items() if value})
        span.set_attribute("http.response.status_code", self.status)
        if self._path != "-":
            span.set_attribute("http.route", self._path)
            span.update_name(f"{self._scope['method']} {self._path}")
        if self.status >= 500:
            span.set_attribute("error.type", str(self.status))
            span.set_status(sys.modules["opentelemetry.trace"].StatusCode.ERROR)


_current: ContextVar[RequestLine | None] = ContextVar("request line", default=None)


def note_turn(id: str) -> None:
    """Note the turn that the current request is about."""
    if line := _current.get():
        line.note_turn(id)


def open_log(level: str, form: str) -> None:
    """Let the package's messages from `level` on reach stderr, unless the process has handlers of its own.

    With the form `json`, all lines of the process are JSON.
    """
    ours = logging.getLogger("turnstile")
    ours.setLevel(level)
    server = logging.getLogger("uvicorn.error")
    server.addFilter(_tell_cut)
    server.addFilter(_one_a_minute)
    if form == "json":
        write_json(*_UVICORNS)
    elif not logging.getLogger().handlers and not ours.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter(_FORM))
        ours.addHandler(handler)


def _tell_cut(line: logging.LogRecord) -> bool:
    """Warn of requests that a stop cuts off; return False for the server's own line about them."""
    if not str(line.msg).startswith(_CUT):
        return True
    log.warning("stopping: requests that are still open are cut off (%s); clients resume their streams", *(line.args or ()))
    return False
