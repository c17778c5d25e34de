"""Log lines: readable ones, or JSON objects that also say what each is about. No content is in either."""

import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from turnstile.turns.ids import tenant_of
from turnstile.turns.tracing.context import current_ids, trace_id

Facts = Mapping[str, str | int]

_subject: ContextVar[Callable[[], Facts] | None] = ContextVar("subject of log lines", default=None)


@contextmanager
def lines_about(facts: Callable[[], Facts]) -> Iterator[None]:
    """Let JSON lines of this task, and of those that it starts, have the fields that `facts` returns, until it is over."""
    known = [facts]
    token = _subject.set(lambda: known[0]() if known else {})
    try:
        yield
    finally:
        # A task that goes on for ever may have begun meanwhile: its lines are about something else.
        known.clear()
        _subject.reset(token)


def about_turn(id: str, session: str, attempt: int, traceparent: str | None) -> Facts:
    """Return the fields of lines about an attempt at a turn."""
    facts: dict[str, str | int] = {"turn": id, "session": session, "attempt": attempt}
    if tenant := tenant_of(session):
        facts["tenant"] = tenant
    return {**facts, **trace_field(traceparent)}


def trace_field(traceparent: str | None) -> dict[str, str]:
    """Return the field that names a trace, where there is one."""
    found = trace_id(traceparent or "")
    return {"trace_id": found} if found else {}


class JsonLines(logging.Formatter):
    """A formatter that makes a JSON object of each line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        facts = _subject.get()
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **(facts() if facts else {}),
            **current_ids(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def write_json(*names: str) -> None:
    """Write JSON of all loggers' lines, and Python's warnings, to stderr, unless the process has handlers of its own.

    `names`: loggers whose handlers write JSON from now on.
    """
    logging.captureWarnings(capture=True)
    root = logging.getLogger()
    handlers = [handler for name in names for handler in logging.getLogger(name).handlers]
    if not root.handlers:
        handlers.append(logging.StreamHandler(sys.stderr))
        root.addHandler(handlers[-1])
    for handler in handlers:
        handler.setFormatter(JsonLines())
