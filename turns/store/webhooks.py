"""The role of webhooks: a turn's end is noted in the script that ends it, and stays noted until someone was told."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

from turnstile.turns.errors import TooManyWaiting, UnknownTurn
from turnstile.turns.ids import check_turn
from turnstile.turns.output import describe_calls
from turnstile.turns.store.replies import OneOf, always, raising
from turnstile.turns.store.runner import Call, Runner, operation, script_call
from turnstile.turns.text import as_text, dumps

GIVEN_UP = "given_up"
ANY = "*"
"""For the keys that are full: all are."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook to deliver: `event` is the same at every attempt, and so is all the rest but `attempt`.

    `type` is OpenAI's, `response.completed` for instance; `created` is when the turn ended, in seconds since the epoch.
    """

    turn: str
    event: str
    type: str
    created: float
    url: str
    key: str
    attempt: int
    calls: str = ""
    """The open calls, as `turnstile.turns.output.encode_calls` returns them."""

    @classmethod
    def decode(cls, reply: Sequence[bytes | int]) -> Self:
        """Read `claim_webhook`'s reply after its first word."""
        turn, event, kind, created, url, key, attempt, calls = (as_text(part) for part in reply)
        return cls(turn, event, kind, int(created) / 1000, url, key, int(attempt), calls)

    def body(self) -> str:
        """Return the event as OpenAI's webhooks have it. It holds no question, no answer, and no arguments of a call.

        Its `data` names the open calls that somebody has to answer, if there are any.
        """
        event = {"id": self.event, "object": "event", "created_at": int(self.created), "type": self.type}
        calls = {"calls": describe_calls(self.calls)} if self.calls else {}
        return dumps({**event, "data": {"id": self.turn, **calls}})


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A webhook that is still to be delivered, or was given up: `phase` is `sent`, `ready`, `taken`, `waiting` or `given_up`.

    One that is `ready` stands in the line of its key. `reason` is a word for why the newest attempt failed.
    """

    turn: str
    type: str
    url: str
    phase: str
    attempts: int
    reason: str
    key: str
    """The id of the API key whose secret signs; empty without one."""

    @classmethod
    def decode(cls, turn: str, reply: Sequence[bytes | None]) -> Self | None:
        """Read the fields of a webhook; None when there is none any more."""
        kind, url, phase, attempts, reason, key = (as_text(part or b"") for part in reply)
        return cls(turn, kind, url, phase, int(attempts), reason, key) if phase else None


_FIELDS = ("type", "url", "phase", "attempts", "reason", "key")


class Webhooks(Runner):
    """Operations on webhooks that are to be delivered."""

    @operation
    def claim_webhook(self, turn: str = "", full: Sequence[str] = ()) -> Call[Delivery | None]:
        """Take a webhook that was sent off, or the next that waits in a line; None when there is nothing to deliver.

        There is no place for those of keys that are `full` (`ANY`: of any): one that was sent off then waits in its key's line.
        """
        return script_call("claim_webhook", _TAKEN, id=turn, full=full)

    @operation
    def record_delivery(self, delivery: Delivery, reason: str = "", delay: float = 0) -> Call[str]:
        """Tell how an attempt went; without `reason` it was delivered, with a `delay` below 0 it is given up.

        `delivered`, `waiting` for the next attempt, `given_up`, or `superseded`: it was another's by then.
        """
        milliseconds = round(delay * 1000)
        return script_call(
            "record_delivery",
            _RECORDED,
            id=delivery.turn,
            event=delivery.event,
            attempt=delivery.attempt,
            reason=reason,
            delay=milliseconds,
        )

    @operation
    def retry_webhooks(self, limit: int = 100) -> Call[tuple[int, int, int]]:
        """Have what is overdue wait for a place, at most `limit`.

        How many were looked at, of how many keys some wait, and how many were ever given up because their key had too many.
        """
        return script_call("retry_webhooks", lambda reply: (reply[0], reply[1], reply[2]), limit=limit)

    @operation
    def resend_webhook(self, turn: str) -> Call[None]:
        """Send a webhook off again now.

        Raises:
            UnknownTurn: it was delivered, or there never was one.
            TooManyWaiting: its key has as many under way as it may have.
        """
        return script_call("resend_webhook", partial(_RESENT, turn), id=check_turn(turn))

    @operation
    def undelivered(self, limit: int = 100, *, given_up: bool = True) -> Call[list[str]]:
        """Return turns whose webhooks were given up, newest first; or those still under way, soonest first."""
        name, command = (self.keys.undelivered, "ZREVRANGE") if given_up else (self.keys.webhooks, "ZRANGE")
        return Call(command, (name, 0, limit - 1), lambda reply: [as_text(turn) for turn in reply])

    @operation
    def look_up(self, turn: str) -> Call[Undelivered | None]:
        """Return the state of one webhook; None once it was delivered."""
        return Call("HMGET", (self.keys.webhook(turn), *_FIELDS), lambda reply: Undelivered.decode(turn, reply))


def _missing(turn: str) -> UnknownTurn:
    return UnknownTurn(f"There is no webhook of turn {turn} to send: it was delivered, has expired, or never was.")


def _full(turn: str) -> TooManyWaiting:
    return TooManyWaiting(
        f"The webhook of turn {turn} was not sent: its key has TURNSTILE_MAX_WEBHOOKS under way. Try again later."
    )


_RECORDED = OneOf(
    "record_delivery",
    delivered=always("delivered"),
    waiting=always("waiting"),
    given_up=always(GIVEN_UP),
    superseded=always("superseded"),
)
_TAKEN = OneOf[Delivery | None]("claim_webhook", taken=lambda *reply: Delivery.decode(reply), stale=always(None))
_RESENT = OneOf("resend_webhook", sent=always(None), unknown=raising(_missing), full=raising(_full))
