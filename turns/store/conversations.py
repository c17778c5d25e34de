"""The role of conversations: sessions with their metadata and their histories, apart from turns."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from turnstile.turns.errors import UNREADABLE, BrokenRecord, TurnConflict
from turnstile.turns.ids import check_session, check_tenant, is_session
from turnstile.turns.question import fingerprint
from turnstile.turns.store.acceptance import full_history, full_of_conversations
from turnstile.turns.store.replies import OneOf, always, raising, unknown_session
from turnstile.turns.store.runner import Call, Runner, operation, script_call
from turnstile.turns.summaries import Summary, home_of
from turnstile.turns.text import dumps


@dataclass(frozen=True, slots=True)
class Conversation:
    """A session and its metadata. `created` is in seconds since the epoch, 0 when nobody knows."""

    session: str
    created: float
    metadata: dict[str, str]


class Conversations(Runner):
    """Operations on sessions and their histories."""

    @operation
    def begin(
        self, session: str, metadata: dict[str, str], messages: Sequence[str] = (), most: int | None = None
    ) -> Call[bool]:
        """Begin a session with metadata and `messages` (stored elements, oldest first); False: it had been, just so.

        `most`: conversations that its tenant may keep.

        Raises:
            TurnConflict: there is such a session, begun in another way.
            HistoryFull: there is no room for the messages.
            QuotaExceeded: the tenant has as many conversations as it may.
        """
        body = dumps(metadata)
        return self._write(session, fingerprint(session, body, "\0".join(messages)), body, messages, most)

    @operation
    def amend(
        self, session: str, metadata: dict[str, str] | None = None, messages: Sequence[str] = (), most: int | None = None
    ) -> Call[bool]:
        """Put other metadata in place, and add `messages` (stored elements, oldest first).

        Raises:
            UnknownSession: there is no such session.
            QuotaExceeded: nothing is kept of it yet, and its tenant keeps `most` conversations already.
            HistoryFull: there is no room for the messages.
        """
        return self._write(session, "", "" if metadata is None else dumps(metadata), messages, most)

    def _write(self, session: str, mark: str, metadata: str, messages: Sequence[str], most: int | None = None) -> Call[bool]:
        arguments = {"fingerprint": mark, "metadata": metadata, "elements": messages, "most": most or ""}
        read = partial(_WRITTEN, self.settings, session)
        return script_call("write_conversation", read, session=check_session(session), **arguments)

    @operation
    def read_conversation(self, session: str) -> Call[Conversation]:
        """Return a session's metadata and when it began. Raises UnknownSession."""

        def read(reply: list[Any]) -> Conversation:
            if not reply:
                raise unknown_session(session)
            return Conversation(session, float(reply[0]) / 1000, json.loads(reply[1]))

        return script_call("read_conversation", read, session=check_session(session))

    @operation
    def erase(self, session: str) -> Call[tuple[int, int]]:
        """Forget a session; how many turns and messages are gone. The records of many turns are removed later, by workers.

        The turns that summed the session up are forgotten after it, when no turn of it can ask for another; they do not count.
        """
        call = script_call("erase", lambda reply: (reply[0], reply[1]), session=check_session(session))
        return replace(call, then=script_call("erase", list, session=home_of(session)))

    @operation
    def scan_sessions(self, cursor: int, tenant: str | None = None) -> Call[tuple[int, frozenset[str]]]:
        """Return the next cursor, 0 after the last, and some of a tenant's sessions, or of all, of which anything is kept."""
        before = f"{check_tenant(tenant)}/" if tenant else ""
        families = (self.keys.history(), self.keys.conversation(), self.keys.session(), self.keys.turns())

        def read(reply: Any) -> tuple[int, frozenset[str]]:
            keys = [key.decode(errors="replace") for key in reply[1]]
            names = [key.removeprefix(family) for family in families for key in keys if key.startswith(family)]
            return int(reply[0]), frozenset(name for name in names if name.startswith(before) and is_session(name))

        return Call("SCAN", (cursor, "MATCH", f"*{before}*", "COUNT", 1000), read)

    @operation
    def erase_tenant(self, tenant: str) -> Call[tuple[int, int]]:
        """Forget some of a tenant's files and batches, and of its schedules, and return how many.

        Zeros: none was left, and what is counted is gone.
        """
        return script_call("erase_tenant", lambda reply: (reply[0], reply[1]), tenant=check_tenant(tenant))

    @operation
    def history(self, session: str, limit: int = 0) -> Call[list[bytes]]:
        """Return the stored elements of a session's history, newest first; `limit` 0: all."""
        return Call("LRANGE", (self.keys.history(check_session(session)), 0, limit - 1), list)

    @operation
    def read_messages(self, session: str, place: int, step: int, count: int, most_bytes: int) -> Call[list[bytes]]:
        """Return stored elements from a place on, in steps of 1 or -1; places count from 0, the oldest's.

        The first is always there; with it, there are `count` at most, and of `most_bytes` together.
        """
        args = {"place": place, "step": step, "count": count, "bytes": most_bytes}
        return script_call("read_messages", list, session=check_session(session), **args)

    @operation
    def count_messages(self, session: str) -> Call[int]:
        """Return how many messages a session's history has."""
        return Call("LLEN", (self.keys.history(check_session(session)),), int)

    @operation
    def drop_message(self, session: str, element: bytes) -> Call[bool]:
        """Take one message, told by its stored element, out of a history; False when it is not there."""
        return Call("LREM", (self.keys.history(check_session(session)), 1, element), bool)

    @operation
    def read_summary(self, session: str) -> Call[Summary | None]:
        """Return the summary of the beginning of a session's history. One of messages that were taken out is removed."""
        return script_call("read_summary", Summary.decode, session=check_session(session))

    @operation
    def write_summary(self, session: str, after: str, summary: Summary) -> Call[bool]:
        """Keep a summary of the beginning of a session's history, in place of the one with the mark `after`, empty for none.

        False when another one is there by now, or the last message that it covers is gone.
        """
        arguments = {"session": check_session(session), "after": after, "mark": summary.mark, "summary": summary.text}
        return script_call("write_summary", _SUMMED_UP, **arguments)


_SUMMED_UP = OneOf("write_summary", written=always(True), stale=always(False))
_WRITTEN = OneOf(
    "write_conversation",
    done=always(True),
    again=always(False),
    conflict=raising(lambda *_: TurnConflict("There is such a session already; use a new id.")),
    unknown=raising(lambda _, session: unknown_session(session)),
    unreadable=raising(lambda *_: BrokenRecord(UNREADABLE)),
    full_history=raising(full_history),
    full=raising(lambda *_: full_of_conversations()),
)
