"""The role of workers: they claim turns, keep their leases, and end them or give them back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from turnstile.turns import output
from turnstile.turns.errors import UNREADABLE, BrokenRecord
from turnstile.turns.output import Output, answerable, encode_calls, open_calls
from turnstile.turns.prices import cost, read_prices
from turnstile.turns.question import Options
from turnstile.turns.states import State
from turnstile.turns.store.budgets import OtherBudget
from turnstile.turns.store.replies import OneOf, always, raising
from turnstile.turns.store.runner import Call, Runner, operation, script_call
from turnstile.turns.text import as_text, dumps, loads
from turnstile.turns.turn import Claim, Joined, Large

_MOST_TOKENS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Spending:
    """Tokens that calls of models have taken, as their servers tell, or else by an estimate; `model` is the latest."""

    model: str = ""
    tokens_in: int = 0
    tokens_out: int = 0

    def __bool__(self) -> bool:
        return bool(self.tokens_in or self.tokens_out)


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
    detail: str = ""
    """The words of the model's server, for an operator."""
    left_out: int = 0
    """Messages of the history for which the model had no room."""
    closing: Sequence[str] = ()
    stored: bool = True
    """False where nothing goes into a history: such a turn holds no session."""
    chain: str = ""
    """The chain that answered, for the counters."""
    model_calls: int = 0
    """Calls of models that the attempt made, for the counters."""
    fallback: str = ""
    """Why another model answered than the first; empty where that did."""
    steps: int = 0
    """Steps that a graph took for the turn, for the counters."""
    spent: Spending = Spending()
    """The tokens of all calls of the attempt, those that were left in the middle among them: what counts where it is more."""

    @property
    def answer(self) -> str:
        """The text of the output."""
        return output.text_of(self.output)

    def encode(self) -> dict[str, str | int]:
        """Return the arguments of `finish` that say how the turn ended."""
        return {
            "state": self.state,
            "answer": self.answer,
            "output": output.encode(self.output),
            "usage": dumps(self.usage) if self.usage else "",
            "model": self.model,
            "code": self.code,
            "message": self.message,
            "detail": self.detail,
            "left_out": self.left_out or "",
            "chain": self.chain,
            "fallback": self.fallback,
            "model_calls": self.model_calls,
            "steps": self.steps,
            "tokens_in": max(_tokens(self.usage, "input_tokens"), self.spent.tokens_in),
            "tokens_out": max(_tokens(self.usage, "output_tokens"), self.spent.tokens_out),
        }


class Working(Runner):
    """Operations on turns for those who answer."""

    @operation
    def claim(self, id: str, worker: str, nonce: str, free: int = 0) -> Call[Claim | str]:
        """Take a dispatched turn; `stale` when it is not this one's time, `unknown` when there is no such turn.

        `free`: slots of the worker that are free beside this one; dispatches may wait for them.
        """
        window = {"window": self.settings.window_messages, "window_bytes": self.settings.window_bytes}
        return script_call("claim", partial(_CLAIM, id), id=id, worker=worker, nonce=nonce, free=free, **window)

    @operation
    def read_asked(self, id: str) -> Call[tuple[bytes, bytes]]:
        """Return a turn's question and options, as stored; both empty when the turn is gone."""
        return Call("HMGET", (self.keys.turn(id), "question", "options"), lambda found: (found[0] or b"", found[1] or b""))

    @operation
    def read_newest(self, session: str, large: Large) -> Call[list[bytes]]:
        """Return the newest messages that a claim left out, newest first; those that have come since are none of them."""
        oldest = large.newest - large.length - 1
        return Call("LRANGE", (self.keys.history(session), -large.length, oldest), list)

    @operation
    def read_first(self, session: str, large: Large) -> Call[list[bytes]]:
        """Return the first messages of a history that a claim left out, the last of them first."""
        return Call("LRANGE", (self.keys.history(session), -large.first, -1), list)

    @operation
    def renew(self, worker: str, held: Sequence[Claim]) -> Call[list[str]]:
        """Keep the leases of many turns: for each `kept`, `cancelled` or `lost`."""
        sessions, ids, tokens = ([getattr(claim, name) for claim in held] for name in ("session", "id", "token"))
        return script_call("renew", _LEASE.each, worker=worker, sessions=sessions, ids=ids, tokens=tokens)

    @operation
    def emit(
        self, claim: Claim, after: int, pieces: Sequence[str], kind: str = "text", *, opens: bool = False
    ) -> Call[int | None]:
        """Append events of a kind after sequence `after`; the last sequence, or None when the turn is no longer ours.

        `opens`: with these the text of the attempt begins.
        """
        event: dict[str, str | int] = {"after": after, "kind": kind, "opens": int(opens)}
        return script_call("emit", _EMIT, id=claim.id, token=claim.token, **event, pieces=pieces)

    @operation
    def finish(
        self, claim: Claim, outcome: Outcome, messages: Sequence[str] = (), *, after: int = 0, text: str = ""
    ) -> Call[State | None]:
        """End a turn: `messages` (stored elements, oldest first) go into the history, `text` is the stream's last piece.

        A turn that is completed, is stored, and has open calls holds its session.

        Returns the state that stands, or None when the turn is no longer ours.

        Raises:
            BrokenRecord: the history takes no messages; nothing was written.
        """
        calls = open_calls(outcome.output) if outcome.state is State.COMPLETED and outcome.stored else ()
        if not answerable(calls):
            calls = ()
        if outcome.stored and not calls:
            messages = [*messages, *outcome.closing]
        end = outcome.encode() | {"calls": encode_calls(calls), "closing": "\x1e".join(outcome.closing) if calls else ""}
        end["queue"] = claim.options.queue
        prices, model = read_prices(self.settings.prices), outcome.model or outcome.spent.model
        end["cost"] = cost(prices, model, int(end["tokens_in"]), int(end["tokens_out"]))
        return script_call("finish", _FINISH, id=claim.id, token=claim.token, **end, after=after, text=text, elements=messages)

    @operation
    def spend_attempt(self, claim: Claim, spent: Spending, model_calls: int) -> Call[None]:
        """Count what an attempt has spent that does not end its turn; once, and whoever has the turn by now."""
        price = cost(read_prices(self.settings.prices), spent.model, spent.tokens_in, spent.tokens_out)
        used: dict[str, str | int] = {
            "model": spent.model,
            "tokens_in": spent.tokens_in,
            "tokens_out": spent.tokens_out,
            "cost": price,
        }
        return script_call(
            "spend_attempt", _COUNTED, session=claim.session, token=claim.token, model_calls=max(1, model_calls), **used
        )

    @operation
    def merge(self, claim: Claim, *, steers: bool = True) -> Call[list[Joined] | None]:
        """Take the turns whose questions are answered together with a turn's own, and return them, in order. None when it is no
        longer ours. `steers`: also those that came while it was under way, to become part of it; those that have are told.
        """
        return script_call("merge", _MERGE, id=claim.id, token=claim.token, steers="1" if steers else "")

    @operation
    def requeue(
        self,
        claim: Claim,
        delay: float = 0,
        *,
        forgive: bool = False,
        code: str = "shutdown",
        model_calls: int = 0,
        waits_for: str = "",
        tokens: int = 0,
        begun: bool = False,
        others: Sequence[OtherBudget] = (),
        patience: float = 0,
        away: str = "",
    ) -> Call[bool]:
        """Give a running turn back, to start again after `delay` seconds. False when it is no longer ours.

        `code`, the reason, and `model_calls` are counted. `waits_for`: a model in whose budget it waits for so many `tokens`;
        then there is no delay, and the wait counts against its deadline if it has `begun` to call models. It may go on with a
        place in the budgets of `others` once it has waited for `patience` seconds. `away`: its kind, where it waits for its
        model's server, for `end_outage`.
        """
        returned: dict[str, str | int] = {"delay": round(delay * 1000), "forgive": "1" if forgive else "", "code": code}
        returned |= {"model_calls": model_calls, "model": waits_for, "tokens": tokens, "begun": int(begun)}
        returned |= {"others": " ".join(other.encode() for other in others), "patience": round(patience * 1000)}
        returned["away"] = away
        return script_call("requeue", _REQUEUE, id=claim.id, token=claim.token, **returned)

    @operation
    def end_outage(self, kind: str, limit: int = 100) -> Call[int]:
        """Let turns of a kind go, at most `limit`, that wait for their model's server; how many are left."""
        return script_call("end_outage", int, kind=kind, limit=limit)


def _joined(*found: bytes) -> list[Joined]:
    told = zip(*[iter(found)] * 4, strict=True)
    return [Joined(as_text(i), loads(as_text(q)), Options.decode(as_text(o)), bool(s)) for i, q, o, s in told]


def _tokens(usage: Mapping[str, Any] | None, name: str) -> int:
    """Return a count of tokens; 0 where a chain gave something else."""
    count = (usage or {}).get(name)
    return count if type(count) is int and 0 <= count < _MOST_TOKENS else 0


def _state(state: bytes) -> State | None:
    return State(as_text(state))


_CLAIM = OneOf[Claim | str](
    "claim",
    claimed=lambda id, *reply: Claim.decode(id, reply),
    stale=always("stale"),
    unknown=always("unknown"),
)
_LEASE = OneOf(
    "renew", kept=always("kept"), interrupted=always("interrupted"), cancelled=always("cancelled"), lost=always("lost")
)
_EMIT = OneOf[int | None]("emit", emitted=int, superseded=always(None))
_FINISH = OneOf(
    "finish", finished=_state, replay=_state, superseded=always(None), unreadable=raising(lambda: BrokenRecord(UNREADABLE))
)
_COUNTED = OneOf[None]("spend_attempt", counted=always(None), replay=always(None))
_MERGE = OneOf[list[Joined] | None]("merge", merged=_joined, superseded=always(None))
_REQUEUE = OneOf("requeue", requeued=always(True), replay=always(True), superseded=always(False))
