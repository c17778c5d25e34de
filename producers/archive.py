"""Sessions as JSON lines: read from one deployment, and written into another.

A session begins with `{"session", "created", "metadata"}`. Each of its messages follows as
`{"session", "message"}` with the stored element, oldest first; a summary stands as `{"session", "summary"}` behind the last one
that it covers. Each schedule by cron comes last, as `{"session", "schedule"}`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, groupby, islice
from typing import IO, Any

from turnstile.memory.element import Element, MessageTooLarge, read, write
from turnstile.producers.archived_schedules import read_schedule, read_schedules, scheduled_sessions, write_schedule
from turnstile.turns.bounds import MOST_STORED_BYTES, check_bytes, check_structure
from turnstile.turns.errors import InvalidTurn, TurnConflict, TurnstileError, UnknownSession
from turnstile.turns.ids import check_session, check_tenant, tenant_of
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.summaries import MOST_SUMMARY_BYTES, Summary, mark
from turnstile.turns.text import dumps, loads

_AT_ONCE = 100
_MOST_BYTES = 1_048_576
_MOST_LINE_BYTES = MOST_STORED_BYTES + 65_536
_MOST_LINE_VALUES = 200_000
_MOST_METADATA_BYTES = 65_536
_GZIP = b"\x1f\x8b"
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


def bounded_lines(source: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of a file. Of one that is too long it is enough to see that it is."""
    yield from iter(lambda: source.readline(_MOST_LINE_BYTES + 1), b"")


def write_sessions(
    store: TurnStore, lines: Iterable[bytes], tenant: str | None = None, *, with_rights: bool = False
) -> Iterator[tuple[str, int, str]]:
    """Write sessions from their lines, and yield each with the number of messages that are new, and why it was refused.

    A repeat goes on where the last one was interrupted. A session that is there in another form is refused, and left as it is.
    Messages that no history can read are left out. Schedules have the rights that their tenant has here, or else,
    `with_rights`, the weights and quotas that the lines tell.

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
        written, last = 0, _Last()
        try:
            written = _write(store, session, head, _messages(own, last))
            if last.summary and store.read_summary(session) is None:
                store.write_summary(session, "", last.summary)
            for line in chain(last.lines, own):
                if "schedule" not in line:
                    raise InvalidTurn("Schedules come behind all messages of a session.")
                write_schedule(store, session, line["schedule"], with_rights=with_rights)
            yield session, written, ""
        except (TurnstileError, MessageTooLarge) as error:
            yield session, written, str(error)


class BadLine(InvalidTurn):
    """A line of an import that no export has, or none of the tenant that is imported."""


def _read(number: int, text: bytes, tenant: str | None) -> Line:
    if text.startswith(_GZIP):
        return {"session": None, "error": BadLine(f"Line {number} is compressed: unpack the file, as with `gunzip`.")}
    if _is_too_large(text):
        return {"session": None, "error": BadLine(f"Line {number} is larger than any that `turnstile export` writes.")}
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
        else:
            check_bytes("`metadata`", dumps(line["metadata"]), _MOST_METADATA_BYTES, "metadata")
    except (InvalidTurn, ValueError, TypeError, KeyError, AttributeError):
        error = BadLine(f"Line {number} is no line of an export: give the file as `turnstile export` wrote it.")
        return {"session": None, "error": error}
    return dict(line)


def _is_too_large(text: bytes) -> bool:
    try:
        check_structure(text, "line", _MOST_LINE_VALUES)
    except InvalidTurn:
        return True
    return len(text) > _MOST_LINE_BYTES


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


@dataclass(slots=True)
class _Last:
    """The last summary among a session's messages, and the line that came behind them, if there was one."""

    summary: Summary | None = None
    lines: list[Line] = field(default_factory=list)


def _messages(lines: Iterator[Line], last: _Last) -> Iterator[str]:
    """Yield the messages of a session's lines up to the first schedule, and note in `last` what else there is."""
    place, text = 0, ""
    for line in lines:
        if "schedule" in line:
            last.lines.append(line)
            return
        if place and "summary" in line:
            last.summary = Summary(mark(place, text.encode()), line["summary"])
        elif line.get("message"):
            place, text = place + 1, write(line["message"])
            yield text


def _write(store: TurnStore, session: str, head: Line, messages: Iterator[str]) -> int:
    if "metadata" not in head:
        raise InvalidTurn("It does not begin as a session does: its first line is missing.")
    pieces = _in_pieces(messages)
    first = next(pieces, [])
    written = len(first)
    if not store.begin(session, head["metadata"], first):
        written = 0
        pieces = _in_pieces(_rest(store, session, chain(first, chain.from_iterable(pieces))))
    for piece in pieces:
        store.amend(session, messages=piece)
        written += len(piece)
    return written


def _in_pieces(messages: Iterator[str]) -> Iterator[list[str]]:
    """Yield messages some at a time, as many as one script takes well."""
    piece, size = list[str](), 0
    for message in messages:
        if piece and (len(piece) == _AT_ONCE or size + len(message) > _MOST_BYTES):
            yield piece
            piece, size = [], 0
        piece.append(message)
        size += len(message)
    if piece:
        yield piece


def _rest(store: TurnStore, session: str, messages: Iterator[str]) -> Iterator[str]:
    """Return the messages that the session does not have yet. Raises TurnConflict when it has others."""
    there, last = 0, ""
    count, newest = store.count_messages(session), store.history(session, 1)
    for text in islice(messages, count):
        there, last = there + 1, text
    if there < count or (there and newest[0].decode() != last):
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
