"""The role of workers: they claim turns, keep their leases, and end them or give them back."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from turnstile.turns import output
from turnstile.turns.errors import UNREADABLE, BrokenRecord
from turnstile.turns.output import Output
from turnstile.turns.states import State
from turnstile.turns.store.replies import OneOf, always, raising
from turnstile.turns.store.runner import Call, Runner, operation
from turnstile.turns.text import as_text, dumps
from turnstile.turns.turn import Claim


@dataclass(frozen=True, slots=True)
class Outcome:
    """An end of a turn. `usage` counts tokens; `code` and `message` say why it failed.

    `closing`: a stored element for each call in the history that the turn leaves without an answer. It says that no output was
    given, and goes into the history when nobody answers the call.
    """

    state: State
    output: Output = ()
    usage: dict[str, Any] | None = None
    model: str = ""
    code: str = ""
    message: str = ""
    closing: Sequence[str] = ()

    @property
    def answer(self) -> str:
        """The text of the output."""
        return output.text_of(self.output)


class Working(Runner):
    """Operations on turns for those who answer."""

    @operation
    def claim(self, id: str, worker: str, nonce: str) -> Call[Claim | str]:
        """Take a dispatched turn; `stale` when it is not this one's time, `unknown` when there is no such turn."""

        return Call("claim", (id, worker, nonce, self.settings.window_messages), partial(_CLAIM, id))

    @operation
    def renew(self, worker: str, held: Sequence[Claim]) -> Call[list[str]]:
        """Keep the leases of many turns: for each `kept`, `cancelled` or `lost`."""
        args = [worker, *(part for claim in held for part in (claim.session, claim.id, claim.token))]
        return Call("renew", args, _LEASE.each)

    @operation
    def emit(self, claim: Claim, after: int, pieces: Sequence[str], kind: str = "text") -> Call[int | None]:
        """Append events of a kind after sequence `after`; the last sequence, or None when the turn is no longer ours."""
        return Call("emit", (claim.id, claim.token, after, kind, *pieces), _EMIT)

    @operation
    def finish(
        self, claim: Claim, outcome: Outcome, messages: Sequence[str] = (), *, after: int = 0, text: str = ""
    ) -> Call[State | None]:
        """End a turn: `messages` (stored elements, oldest first) go into the history, `text` is the stream's last piece.

        Returns the state that stands, or None when the turn is no longer ours.

        Raises:
            BrokenRecord: the history takes no messages; nothing was written.
        """
        if messages:
            messages = [*messages, *outcome.closing]
        usage = dumps(outcome.usage) if outcome.usage else ""
        items = output.encode(outcome.output)
        end = (outcome.state, outcome.answer, items, usage, outcome.model, outcome.code, outcome.message)
        return Call("finish", (claim.id, claim.token, *end, after, text, *messages), _FINISH)

    @operation
    def requeue(self, claim: Claim, delay: float = 0, *, forgive: bool = False) -> Call[bool]:
        """Give a running turn back, to start again after `delay` seconds. False when it is no longer ours."""
        args = (claim.id, claim.token, round(delay * 1000), "1" if forgive else "")
        return Call("requeue", args, _REQUEUE)


def _state(state: bytes) -> State | None:
    return State(as_text(state))


_CLAIM = OneOf[Claim | str](
    claimed=lambda id, *reply: Claim.decode(id, reply), stale=always("stale"), unknown=always("unknown")
)
_LEASE = OneOf(kept=always("kept"), cancelled=always("cancelled"), lost=always("lost"))
_EMIT = OneOf[int | None](emitted=int, superseded=always(None))
_FINISH = OneOf(finished=_state, replay=_state, superseded=always(None), unreadable=raising(lambda: BrokenRecord(UNREADABLE)))
_REQUEUE = OneOf(requeued=always(True), replay=always(True), superseded=always(False))
