"""The role of held sessions: those whose last turn has open calls, which somebody has to answer before the next turn goes."""

from dataclasses import dataclass
from typing import Any

from turnstile.turns.ids import check_session
from turnstile.turns.output import Output, open_calls
from turnstile.turns.store.replies import OneOf, always
from turnstile.turns.store.runner import Call, Runner, operation, script_call
from turnstile.turns.text import as_text, loads


@dataclass(frozen=True, slots=True)
class HeldSession:
    """A session whose open calls wait for answers: `turn` has them, `until` is in seconds since the epoch."""

    session: str
    turn: str
    until: float
    calls: Output


class Holds(Runner):
    """Operations on held sessions."""

    @operation
    def read_hold(self, session: str) -> Call[HeldSession | None]:
        """Return the open calls of a session; None when it waits for none."""

        def read(reply: list[Any]) -> HeldSession | None:
            if not reply:
                return None
            turn, until, output = map(as_text, reply)
            return HeldSession(session, turn, int(until) / 1000, open_calls(tuple(loads(output))))

        return script_call("read_hold", read, session=check_session(session))

    @operation
    def release_session(self, session: str) -> Call[bool]:
        """Close a session's open calls without answers, and let its next turn go; False when it waits for none."""
        return script_call("release_session", _RELEASED, session=check_session(session))

    @operation
    def held(self, limit: int = 100) -> Call[list[str]]:
        """Return the sessions that wait for answers to open calls, the longest first, at most `limit`."""
        return Call("ZRANGE", (self.keys.held, 0, limit - 1), lambda reply: [as_text(session) for session in reply])


_RELEASED = OneOf("release_session", released=always(True), not_held=always(False))
