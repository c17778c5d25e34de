"""Sessions as JSON lines: read from one deployment, and written into another.

A session begins with `{"session", "created", "metadata"}`. Each of its messages follows as
`{"session", "message"}` with the stored element, oldest first; a summary stands as `{"session", "summary"}` behind the last one
that it covers. Each schedule by cron comes last, as `{"session", "schedule"}`.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby, islice
from typing import Any

from turnstile.memory.element import Element, MessageTooLarge, read, write
from turnstile.producers.archived_schedules import read_schedule, read_schedules, scheduled_sessions, write_schedule
from turnstile.turns.errors import InvalidTurn, TurnConflict, TurnstileError, UnknownSession
from turnstile.turns.ids import check_session, check_tenant, tenant_of
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.summaries import MOST_SUMMARY_BYTES, Summary, mark
from turnstile.turns.text import dumps, loads

_AT_ONCE = 100
_MOST_BYTES = 1_048_576
_ROUNDS = 100

Line = dict[str, Any]


def sessions(store: TurnStore, tenant: str | None = None) -> Iterator[str]:
    """Yield each session of a tenant, or of all, of which anything is kept; one that begins meanwhile may be among them."""
    seen: set[str] = set()
    cursor = 0
    while True:
        cursor, found = store.scan_sessions(cursor, tenant)
        yield from sorted(found - seen)
        seen |= found
        if not cursor:
            break
    for session in scheduled_sessions(store, tenant):
        if session not in seen:
            yield session
        seen.add(session)


def read_session(store: TurnStore, session: str) -> Iterator[Line]:
    """Yield the lines of a session, some of its messages at a time. Raises UnknownSession."""
    schedules = list(read_schedules(store, session))
    yield _head(store, session, scheduled=bool(schedules))
    summary = store.read_summary(session)
    place = 0
    while elements := store.read_messages(session, place, 1, _AT_ONCE, _MOST_BYTES):
        for element in elements:
            place += 1
            yield {"session": session, "message": _message(element)}
            if summary and place == summary.place:
                yield {"session": session, "summary": summary.text}
    yield from ({"session": session, "schedule": schedule} for schedule in schedules)


def has_content(store: TurnStore, session: str) -> bool:
    """Return whether the lines of a session tell more than that there is one. Raises UnknownSession."""
    lines = read_session(store, session)
    return bool(next(lines)["metadata"]) or next(lines, None) is not None


def _head(store: TurnStore, session: str, *, scheduled: bool) -> Line:
    try:
        about = store.read_conversation(session)
    except UnknownSession:
        if not scheduled:
            raise
        return {"session": session, "created": store.now(), "metadata": {}}
    return {"session": session, "created": about.created, "metadata": about.metadata}


def _message(element: bytes) -> Any:
    try:
        return loads(element)
    except ValueError:
        return element.decode(errors="replace")


def write_sessions(store: TurnStore, lines: Iterable[bytes], tenant: str | None = None) -> Iterator[tuple[str, int, str]]:
    """Write sessions from their lines, and yield each with the number of messages that are new, and why it was refused.

    A repeat goes on where the last one was interrupted. A session that is there in another form is refused, and left as it is.
    Messages that no history can read are left out.

    Raises:
        InvalidTurn: a line is none of those that `read_session` yields, or of another tenant's session than the one that is
            given; its number is told. What stood before it is written.
    """
    whose = tenant and check_tenant(tenant)
    told = (_read(number, text, whose) for number, text in enumerate(lines, 1) if text.strip())
    for session, found in groupby(told, lambda line: line["session"]):
        own = iter(found)
        head = next(own)
        if session is None:
            raise head["error"]
        written, schedules, summaries = 0, list[Line](), list[Summary]()
        try:
            written = _write(store, session, head, _messages(own, schedules, summaries))
            if summaries and store.read_summary(session) is None:
                store.write_summary(session, "", summaries[-1])
            for schedule in schedules:
                write_schedule(store, session, schedule)
            yield session, written, ""
        except (TurnstileError, MessageTooLarge) as error:
            yield session, written, str(error)


class BadLine(InvalidTurn):
    """A line of an import that no export has, or none of the tenant that is imported."""


def _read(number: int, text: bytes, tenant: str | None) -> Line:
    try:
        line = loads(text)
        session = check_session(line["session"])
        if tenant is not None and tenant_of(session) != tenant:
            return {"session": None, "error": _foreign(number, tenant)}
        if "message" in line:
            line["message"] = _element(dumps(line["message"]), number)
        elif "schedule" in line:
            line["schedule"] = read_schedule(line["schedule"])
        elif "summary" in line:
            if not isinstance(line["summary"], str) or len(line["summary"].encode()) > MOST_SUMMARY_BYTES:
                raise ValueError
        elif not all(isinstance(value, str) for pair in line["metadata"].items() for value in pair):
            raise ValueError
    except (InvalidTurn, ValueError, TypeError, KeyError, AttributeError):
        error = BadLine(f"Line {number} is no line of an export: give the file as `turnstile export` wrote it.")
        return {"session": None, "error": error}
    return dict(line)


def _foreign(number: int, tenant: str) -> BadLine:
    return BadLine(
        f"Line {number} is of a session that is not tenant {tenant}'s. The lines before it are imported; take out those of "
        "other tenants, then import the file again."
    )


def _element(text: str, number: int) -> Element | None:
    element = read(text)
    if element and not element.mark:
        # No history takes the same message twice: one from elsewhere gets an id.
        element.mark = {"item": f"msg_imported_{number}"}
    return element


def _messages(lines: Iterator[Line], schedules: list[Line], summaries: list[Summary]) -> Iterator[str]:
    """Yield the messages of a session's lines, and add its schedules and summaries to `schedules` and `summaries`."""
    place, last = 0, ""
    for line in lines:
        if "schedule" in line:
            schedules.append(line["schedule"])
        elif place and "summary" in line:
            summaries.append(Summary(mark(place, last.encode()), line["summary"]))
        elif line.get("message"):
            place, last = place + 1, write(line["message"])
            yield last


def _write(store: TurnStore, session: str, head: Line, messages: Iterator[str]) -> int:
    if "metadata" not in head:
        raise InvalidTurn("It does not begin as a session does: its first line is missing.")
    first = list(islice(messages, _AT_ONCE))
    written = len(first)
    if not store.begin(session, head["metadata"], first):
        written = 0
        messages = _rest(store, session, chain(first, messages))
    for piece in iter(lambda: list(islice(messages, _AT_ONCE)), []):
        store.amend(session, messages=piece)
        written += len(piece)
    return written


def _rest(store: TurnStore, session: str, messages: Iterator[str]) -> Iterator[str]:
    """Return the messages that the session does not have yet. Raises TurnConflict when it has others."""
    count = store.count_messages(session)
    there = list(islice(messages, count))
    newest: Sequence[bytes] = store.history(session, 1)
    if len(there) < count or (there and newest[0].decode() != there[-1]):
        raise TurnConflict("The session has gone on since it was imported; erase it before you import it anew.")
    return messages


def erase_tenant(store: TurnStore, tenant: str) -> dict[str, int]:
    """Erase all of a tenant, and return how many are gone: `sessions`, `turns`, `messages`, `schedules`, `files` with batches.

    Raises:
        TurnConflict: it goes on asking.
    """
    gone = dict.fromkeys(("sessions", "turns", "messages", "files", "schedules"), 0)
    for _ in range(_ROUNDS):
        while any(some := store.erase_tenant(tenant)):
            gone["files"] += some[0]
            gone["schedules"] += some[1]
        left = list(sessions(store, tenant))
        if not left:
            return gone
        for session in left:
            turns, messages = store.erase(session)
            gone["sessions"] += 1
            gone["turns"] += turns
            gone["messages"] += messages
        while store.sweep_erased():
            pass
    raise TurnConflict(f"Tenant {tenant} goes on asking: take its keys out of the keys file, then erase it again.")
