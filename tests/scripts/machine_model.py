"""A small plain model of sessions and turns, and its moves beside the real scripts."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, ClassVar

import redis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize

from tests.scripts.cutting import cut, in_pieces
from tests.scripts.scene import Scene, answered, asking, closing, dangling, pair
from turnstile.turns.celery_message import QUEUES
from turnstile.turns.ids import tenant_of
from turnstile.turns.output import Item, called, said
from turnstile.turns.question import Options
from turnstile.turns.schedules import DueTick
from turnstile.turns.settings import Settings
from turnstile.turns.states import TRANSITIONS, State
from turnstile.turns.store.budgets import CallEnd, CallLimits, ModelCall, OtherBudget
from turnstile.turns.store.runner import Call
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.store.working import Outcome
from turnstile.turns.turn import Claim

SESSIONS = ("foo", "tenant/bar")
CHANCES = 3
TOGETHER = 4
MODEL = "gpt@1234"
OTHER = OtherBudget("other@1", CallLimits())
"""A model without limits."""
"""A model that has a budget."""
_CUT = ("finish", "cancel", "requeue", "emit", "renew", "put_checkpoint", "put_writes")


@dataclass
class Turn:
    """One turn in the model."""

    id: str
    session: str
    question: str
    options: Options
    state: State = State.QUEUED
    attempts: int = 0
    forgiven: int = 0
    events: list[str] = field(default_factory=list)
    gone: int = 0
    """Events of an earlier life, before a retry."""
    answers: str = ""
    """The turn whose call it answers."""
    interrupted: bool = False
    merges: bool = False
    """It came to be merged with others that wait."""
    steers: bool = False
    steered: bool = False
    merged: "Turn | None" = None
    """The turn that it is part of."""
    members: "list[Turn] | None" = None
    """The turns that are part of it, once that is settled."""
    thread: str = ""

    @property
    def call(self) -> Item:
        """The call that it may leave open."""
        return called(f"call-{self.id}", "weather", "{}")

    @property
    def over(self) -> bool:
        return self.attempts - self.forgiven >= CHANCES


@dataclass
class Kept:
    """The kept steps of one thread."""

    calls: int = 0
    known: dict[str, str] = field(default_factory=dict)


@dataclass
class Session:
    """A session's unfinished turns in the order they are to run, the one with open calls, and the messages of its history."""

    line: list[Turn] = field(default_factory=list)
    phase: str = "dispatched"
    owner: str = ""
    history: list[str] = field(default_factory=list)
    asking: Turn | None = None
    """The turn whose call is open, while nobody answers it (phase held) and while it is being answered."""

    @property
    def held(self) -> bool:
        return self.phase == "held"

    @property
    def idle(self) -> bool:
        return not self.line and not self.held

    def close(self) -> None:
        """The open call gets its closing element."""
        assert self.asking
        self.history += closing(self.asking.id, (self.asking.call,))
        self.asking, self.phase = None, "dispatched"


@dataclass
class Scheduled:
    """A schedule that is on: the next tick, in ms, and what the turn of a tick is named after."""

    session: str
    tick: int
    again: bool
    """It has ticks for ever; otherwise this one alone, whose turn has the schedule's id."""


class Faltering(TurnStore):
    """A store whose next call of some scripts is cut short after so many writes; then its caller calls again."""

    writes: int | None = None
    cuts = 0
    after_call: Callable[[], object] = staticmethod(lambda: None)

    def run(self, call: Call[Any]) -> Any:
        """Make a call, at the second try perhaps."""
        reply = self._made(call)
        self.after_call()
        return reply

    def _made(self, call: Call[Any]) -> Any:
        if self.writes is not None and call.name in _CUT:
            writes, self.writes = self.writes, None
            with cut(self, call.name, writes) as happened:
                reply = super().run(call)
            if not happened:
                return reply
            self.cuts += 1
        return super().run(call)


class Model(RuleBasedStateMachine):
    """The model, and the scripts beside it."""

    url: ClassVar[str]

    @initialize(standing=st.sampled_from((1, 8)), single=st.booleans())
    def start(self, standing: int, single: bool) -> None:
        self.client: Any = redis.Redis.from_url(self.url, decode_responses=True)
        self.client.flushdb()
        # With one that stands on a queue, others are ready; the model does not tell ready from dispatched.
        self.client.hset("turnstile:stats", "standing", standing)
        self.single = single
        if single:
            self.client.hset("turnstile:workers", "w1", "{}")
            self._have_slots(1)
        # Time passes when a rule says so, and not because the machine is slow.
        slow = {"lease_seconds": 3_600, "dispatch_grace_seconds": 3_600, "retry_max_seconds": 3_600}
        self.turns = Faltering(Settings(redis_url=self.url, max_attempts=CHANCES, history_ttl=600, **slow))
        self.turns.after_call = self._after_call
        # An erase removes two turns at once; others are left for the sweep.
        in_pieces(self.turns, 2, together=TOGETHER)
        self.scene = Scene(self.turns, self.client)
        self.sessions = {name: Session() for name in SESSIONS}
        self.known: dict[str, Turn] = {}
        self.erased: dict[str, Turn] = {}
        self.schedules: dict[str, Scheduled] = {}
        self.late: list[DueTick] = []
        """Ticks that are past: they were asked, left out, removed or erased."""
        self.kept: dict[str, Kept] = {}
        self.claims: list[Claim] = []
        self.closed: dict[str, str] = {}
        self.returned: set[str] = set()
        self.popped: list[str] = []
        self.numbers = itertools.count(1)
        self.paused: tuple[str | None, bool] = (None, False)
        """The tenant for which alone the model is paused, and whether it is for everybody."""
        self.accepted = 0
        self.ends = dict.fromkeys((state for state in State if state.ended), 0)

    def _submit(self, session: str, queue: str = "chat", stream: bool = True, reply: bool = False, id: str = "") -> None:
        turn = Turn(id or f"t{next(self.numbers)}", session, "what?", Options(queue=queue, stream=stream))
        home = self.sessions[session]
        done = self.turns.submit(turn.id, session, turn.question, turn.options, reply=reply)
        assert (done.fresh, done.state) == (True, State.QUEUED)
        ahead = len(home.line) + home.held
        assert ahead <= done.place <= ahead + bool(self.turns.cuts and home.line)
        if home.idle:
            home.phase = "dispatched"
        self._accept(turn, len(home.line))

    def _accept(self, turn: Turn, place: int) -> None:
        turn.thread = turn.thread or turn.id
        self.sessions[turn.session].line.insert(place, turn)
        self.known[turn.id] = turn
        self.accepted += 1

    def _release(self, session: str) -> None:
        home = self.sessions[session]
        assert self.turns.release_session(session) is home.held
        if home.held:
            self._close(home)

    def _close(self, session: Session) -> None:
        assert session.asking
        self.kept.pop(session.asking.thread, None)
        session.close()

    def _pop(self) -> None:
        """Take one dispatch off each queue; a double that was kept stays at hand for a while."""
        self.popped = self.popped[-8:] + [id for queue in QUEUES if (id := self.scene.pop(queue))]

    def _claimed(self, turn: Turn, session: Session, reply: Claim | str, nonce: str) -> None:
        assert isinstance(reply, Claim)
        self._move(turn, State.RUNNING)
        turn.attempts += 1
        if turn.options.stream:
            turn.events.append(f"started {turn.attempts}")
        session.phase, session.owner = "running", f"{turn.attempts}:{nonce}"
        assert (reply.token, reply.attempts_left) == (session.owner, CHANCES - turn.attempts + turn.forgiven)
        assert (reply.question, reply.options, reply.session) == (turn.question, turn.options, turn.session)
        assert reply.sequence == turn.gone + len(turn.events)
        assert [element.decode() for element in reversed(reply.window)] == session.history[-40:]
        assert reply.thread == turn.thread
        assert reply.interrupted == turn.interrupted
        assert reply.marked == (turn.interrupted or turn.merges or turn.steers or turn.steered)
        if len(session.history) <= 40:
            assert set(dangling(session.history)) == reply.answers.keys()
        self.claims.append(reply)

    def _pass_time(self, session: str) -> None:
        """Let time pass until the session is due and its worker has lost the lease, and sweep."""
        home = self.sessions[session]
        # On a slow machine two sweeps may be so far apart that all seem to have been away.
        self.client.hdel(self.scene.keys.stats, "called", "since", "grace", "patience")
        self.scene.make_due(session)
        if home.held or (home.line and home.phase == "running"):
            self.client.hset(self.scene.keys.session(session), "lease", 1)
        dispatches, ready = self._dispatches(home), self._ready(session)
        done = self.turns.sweep()
        assert done.seen == (0 if home.idle else 1)
        if home.held:
            assert done.expired == 1
            self._close(home)
            return
        if not home.line:
            return
        head = home.line[0]
        if home.phase == "delayed":
            assert done.retried == 1
            home.phase = "dispatched"
        elif home.phase == "running" and head.over:
            assert done.failed == 1
            self._end(head, State.FAILED)
        elif home.phase == "running":
            assert done.recovered == 1
            self._move(head, State.QUEUED)
            home.phase = "dispatched"
        elif ready:
            assert done.redispatched == 0
        else:
            assert done.redispatched == self._dispatches(home) - dispatches

    def _turn(self, pick: int) -> Turn:
        """Return a turn, usually a recent one."""
        if not self.known:
            self._submit(SESSIONS[pick % 2])
        return list(self.known.values())[-1 - pick % len(self.known)]

    def _claim(self, pick: int) -> Claim:
        """Return a claim, usually a recent one; it may be a lost worker's."""
        if not self.claims or (pick % 3 and not self._owns(self.claims[-1])):
            self._take(SESSIONS[pick % 2])
        return self.claims[-1 - pick % len(self.claims)]

    def _owns(self, claim: Claim) -> bool:
        turn = self.known.get(claim.id)
        if turn is None:
            return False
        session = self.sessions[turn.session]
        return session.line[:1] == [turn] and session.phase == "running" and session.owner == claim.token

    def _closed(self, claim: Claim) -> State | None:
        """Return the outcome that a turn's last owner may hear again."""
        turn = self.known.get(claim.id)
        return turn.state if turn is not None and self.closed.get(turn.id) == claim.token else None

    def _dispatches(self, session: Session) -> int:
        return self.turns.status(session.line[0].id).dispatches if session.line else 0

    def _move(self, turn: Turn, state: State) -> None:
        assert state in TRANSITIONS[turn.state]
        turn.state = state

    def _end(self, turn: Turn, state: State, *, asks: bool = False) -> None:
        for one in (turn, *(turn.members or ())):
            self._move(one, state)
            one.events.append(f"ended {state}")
            one.attempts = turn.attempts
            self.ends[state] += 1
        session = self.sessions[turn.session]
        if state is not State.FAILED and not asks:
            self.kept.pop(turn.thread, None)
        if session.line[0] is turn and not session.held:
            session.phase, session.owner = "dispatched", ""
            if asks:
                session.asking, session.phase = turn, "held"
            elif state.answered:
                session.asking = None
            elif turn.answers and state is State.CANCELLED:
                self._close(session)
            elif turn.answers:
                session.phase = "held"
        session.line.remove(turn)

    def _finish(self, claim: Claim, state: State, *, rest: bool = False, twice: bool = False, asks: bool = False) -> None:
        turn = self.known.get(claim.id)
        after = 0 if turn is None else turn.gone + len(turn.events)
        owns = self._owns(claim)
        messages, output = [], said("x" if state.answered else "")
        kept = claim.options.store
        if state.answered and kept:
            messages = [*answered(claim), *pair(claim.id)]
        asks = asks and state is State.COMPLETED and turn is not None and kept
        if asks and turn is not None:
            messages, output = [*answered(claim), *asking(claim.id, turn.call)], (turn.call,)
        closings = closing(claim.id, output)
        outcome = Outcome(state, output, code="" if state.answered else "internal", message="no", closing=closings, stored=kept)
        reply = self.turns.finish(claim, outcome, messages, after=after, text="x" if rest else "")
        assert reply is (state if owns else self._closed(claim))
        if not owns:
            return
        assert turn is not None
        if rest:
            turn.events.append("text x")
        self.sessions[turn.session].history += messages
        self._end(turn, state, asks=asks)
        self.closed[turn.id] = claim.token
        if twice:
            assert self.turns.finish(claim, outcome, messages, after=after, text="x" if rest else "") is state

    def _merge(self, turn: Turn, *, steers: bool) -> None:
        """Settle which turns are part of one, as far as this is open."""
        line = self.sessions[turn.session].line
        settled, turn.members = turn.members is not None, turn.members or []
        while (
            line[1:]
            and len(turn.members) < TOGETHER - 1
            and ((line[1].merges and turn.merges and not turn.interrupted and not settled) or (line[1].steers and steers))
        ):
            settled = settled or line[1].steers
            other = line.pop(1)
            self._move(other, State.RUNNING)
            other.events.append(f"merged {turn.id}")
            other.merged, other.attempts = turn, turn.attempts
            turn.members.append(other)

    def _steering(self, home: Session) -> list[Turn]:
        """Return the turns that stand next to become part of the one under way."""
        return list(takewhile(lambda turn: turn.steers, home.line[1:]))

    def _has_room(self, home: Session) -> bool:
        """Return whether the turn under way can take one more question."""
        return len(self._steering(home)) + len(home.line[0].members or ()) < TOGETHER - 1

    def _ready(self, name: str) -> bool:
        """Return whether the session's head waits in its tenant's line."""
        return self.scene.seat(name).get("phase") == "ready"

    def _refuse(self, claim: Claim, *, nothing_left: bool) -> None:
        """Let the model's server ask a call of a turn for patience."""
        tenant, (alone, everybody) = tenant_of(claim.session), self.paused
        shared = nothing_left or (alone is not None and alone != tenant)
        self.paused = (alone if shared else tenant, everybody or shared)
        end = CallEnd("limited", pause=1_800, left_requests=0 if nothing_left else None)
        self.turns.settle_call(ModelCall(claim, 1, MODEL, 10), end)

    def _end_pause(self) -> None:
        """Let the model have no budget any more, and what was sent for a place in it have arrived."""
        self.paused = (None, False)
        self.client.delete(*(key(MODEL) for key in (self.scene.keys.budget, self.scene.keys.promised, self.scene.keys.coming)))

    def _know_model(self) -> None:
        """Let it be known that turns begin with a call of the model: each is looked at before it is dispatched."""
        self.client.hset(self.scene.keys.stats, "budgeted", 2**50)
        self.client.set(self.scene.keys.first_call(" "), f"0 0 {MODEL}=0,0,0", px=10**8)

    def _forget_model(self) -> None:
        self.client.hdel(self.scene.keys.stats, "budgeted")
        self.client.delete(self.scene.keys.first_call(" "))

    def _after_call(self) -> None:
        if self.turns.cuts or self.client.hexists(self.scene.keys.stats, "budgeted"):
            self._hear_of_waits()

    def _hear_of_waits(self) -> None:
        """Note the events of turns that have come to stand at the model, which any script may lead there."""
        streams = [turn for turn in self.known.values() if turn.options.stream and not turn.state.ended]
        pipeline = self.client.pipeline(transaction=False)
        for turn in streams:
            pipeline.xrange(self.scene.keys.events(turn.id), f"{turn.gone + len(turn.events) + 1}-0")
        for turn, entries in zip(streams, pipeline.execute() if streams else (), strict=True):
            waits = itertools.takewhile(lambda entry: entry[1]["type"] == "waiting", entries)
            turn.events += ["waiting gpt" for _ in waits]

    def _bring_out(self, name: str) -> None:
        """See to it that a ready head is dispatched: those that stand before it are lost, and the sweep sends the next."""
        self._end_pause()
        if self.single:
            # The slot may be taken, so another worker comes for a while.
            self._have_slots(8)
        while self._ready(name):
            self.client.delete(*QUEUES)
            self.scene.make_due(name)
            self.turns.sweep()
        if self.single:
            self._have_slots(1)

    def _have_slots(self, count: int) -> None:
        self.client.hset("turnstile:stats", "slots", count)

    def _take(self, name: str) -> Claim:
        """See to it that the session's head runs, and return its owner's claim."""
        session = self.sessions[name]
        if session.held:
            self._release(name)
        if not session.line:
            self._submit(name)
        if session.phase == "delayed":
            self._pass_time(name)
        if session.phase == "dispatched":
            self._bring_out(name)
            turn, nonce = session.line[0], f"n{next(self.numbers)}"
            self._claimed(turn, session, self.turns.claim(turn.id, "w1", nonce), nonce)
        return next(claim for claim in self.claims if claim.session == name and self._owns(claim))
