"""The real scripts against a small plain model, in any order of events that hypothesis can think of.

A rule that lacks something to work on makes it first: hypothesis leaves rules out of an example at random, and would else
hardly ever come as far as the end of a turn.

`HYPOTHESIS_PROFILE=long` looks for longer.
"""

import itertools
import os
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
import redis
from hypothesis import HealthCheck, Phase
from hypothesis import settings as profile
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.scripts.cutting import cut, in_pieces
from tests.scripts.scene import Scene, answered, asking, closing, dangling, pair
from turnstile.turns.celery_message import QUEUES
from turnstile.turns.errors import CallNotAnswered, CallNotOpen, SessionHeld, TurnConflict, UnknownTurn
from turnstile.turns.output import Item, called, said
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.states import TRANSITIONS, State
from turnstile.turns.store.runner import Call
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.store.working import Outcome
from turnstile.turns.turn import Claim

_ANY: dict[str, Any] = {"deadline": None, "suppress_health_check": list(HealthCheck), "report_multiple_bugs": False}
profile.register_profile("quick", phases=(Phase.generate,), max_examples=200, stateful_step_count=40, **_ANY)
profile.register_profile("ci", derandomize=True, database=None, max_examples=150, stateful_step_count=40, **_ANY)
profile.register_profile("long", print_blob=True, max_examples=3_000, stateful_step_count=100, **_ANY)

SESSIONS = ("foo", "tenant/bar")
CHANCES = 3
_CUT = ("finish", "cancel", "requeue", "emit", "renew")
_sessions = st.sampled_from(SESSIONS)
_queues = st.sampled_from(QUEUES)
_pick = st.integers(0, 10)


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
    thread: str = ""

    @property
    def call(self) -> Item:
        """The call that it may leave open."""
        return called(f"call-{self.id}", "weather", "{}")

    @property
    def over(self) -> bool:
        return self.attempts - self.forgiven >= CHANCES


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


class Faltering(TurnStore):
    """A store whose next call of some scripts is cut short after so many writes; then its caller calls again."""

    writes: int | None = None
    cuts = 0

    def run(self, call: Call[Any]) -> Any:
        """Make a call, at the second try perhaps."""
        if self.writes is not None and call.name in _CUT:
            writes, self.writes = self.writes, None
            with cut(self, call.name, writes) as happened:
                reply = super().run(call)
            if not happened:
                return reply
            self.cuts += 1
        return super().run(call)


class Turns(RuleBasedStateMachine):
    """Rules are what callers, workers and misfortune do; after each, what is stored is compared with the model."""

    url: ClassVar[str]

    @initialize()
    def start(self) -> None:
        self.client: Any = redis.Redis.from_url(self.url, decode_responses=True)
        self.client.flushdb()
        # Time passes when a rule says so, and not because the machine is slow.
        slow = {"lease_seconds": 3_600, "dispatch_grace_seconds": 3_600}
        self.turns = Faltering(Settings(redis_url=self.url, max_attempts=CHANCES, history_ttl=600, **slow))
        # An erase removes two turns at once; others are left for the sweep.
        in_pieces(self.turns, 2)
        self.scene = Scene(self.turns, self.client)
        self.sessions = {name: Session() for name in SESSIONS}
        self.known: dict[str, Turn] = {}
        self.erased: dict[str, Turn] = {}
        self.claims: list[Claim] = []
        self.closed: dict[str, str] = {}
        self.returned: set[str] = set()
        self.popped: list[str] = []
        self.numbers = itertools.count(1)
        self.accepted = 0
        self.ends = dict.fromkeys((state for state in State if state.ended), 0)

    # What callers do.

    @rule(session=_sessions, queue=_queues, stream=st.booleans(), reply=st.booleans())
    def submit(self, session: str, queue: str, stream: bool, reply: bool) -> None:
        self._submit(session, queue, stream, reply)

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

    @rule(session=_sessions, when_held=st.sampled_from(("reject", "close")))
    def submit_without_patience(self, session: str, when_held: str) -> None:
        home = self.sessions[session]
        turn = Turn(f"t{next(self.numbers)}", session, "what now?", Options())
        if home.held and when_held == "reject":
            with pytest.raises(SessionHeld):
                self.turns.submit(turn.id, session, turn.question, turn.options, when_held=when_held)
            return
        self.turns.submit(turn.id, session, turn.question, turn.options, when_held=when_held)
        if home.held:
            home.close()
            # Others that wait go first; the sweep lets them.
            assert self.turns.sweep().seen == bool(home.line)
        elif not home.line:
            home.phase = "dispatched"
        self._accept(turn, len(home.line))

    @rule(session=_sessions, stream=st.booleans(), right=st.booleans())
    def answer(self, session: str, stream: bool, right: bool) -> None:
        """Answer the open call; perhaps another, or none that there is, or one that was answered already."""
        home = self.sessions[session]
        call = home.asking.call["call_id"] if home.asking and right else "call-nobody"
        turn = Turn(f"t{next(self.numbers)}", session, "what?", Options(stream=stream, answers={call: "sunny"}))
        answering = home.line[0] if home.asking and not home.held else None
        if home.held and right:
            assert home.asking
            turn.answers, turn.thread = home.asking.id, home.asking.thread
            done = self.turns.submit(turn.id, session, turn.question, turn.options)
            assert (done.id, done.place, done.fresh) == (turn.id, 0, True)
            home.phase = "dispatched"
            self._accept(turn, 0)
        elif answering and right and answering.options == turn.options:
            done = self.turns.submit(turn.id, session, turn.question, turn.options)
            assert (done.id, done.fresh, done.state) == (answering.id, False, answering.state)
        else:
            with pytest.raises(CallNotAnswered if home.held else CallNotOpen):
                self.turns.submit(turn.id, session, turn.question, turn.options)

    @rule(session=_sessions)
    def release(self, session: str) -> None:
        home = self.sessions[session]
        assert self.turns.release_session(session) is home.held
        if home.held:
            home.close()

    @rule(pick=_pick)
    def submit_again(self, pick: int) -> None:
        turn = self._turn(pick)
        done = self.turns.submit(turn.id, turn.session, turn.question, turn.options)
        assert (done.fresh, done.state) == (False, turn.state)
        with pytest.raises(TurnConflict):
            self.turns.submit(turn.id, turn.session, "something else", turn.options)

    @rule(pick=_pick)
    def cancel(self, pick: int) -> None:
        turn = self._turn(pick)
        if turn.state.ended:
            assert self.turns.cancel(turn.id) is turn.state
        else:
            assert self.turns.cancel(turn.id) is State.CANCELLED
            self._end(turn, State.CANCELLED)

    @rule(pick=_pick)
    def retry(self, pick: int) -> None:
        turn = self._turn(pick)
        session = self.sessions[turn.session]
        open_still = session.held and session.asking is not None and session.asking.id == turn.answers
        if turn.state is State.FAILED and turn.answers and not open_still:
            with pytest.raises(CallNotOpen):
                self.turns.retry(turn.id)
            return
        assert self.turns.retry(turn.id) is (State.QUEUED if turn.state is State.FAILED else turn.state)
        if turn.state is not State.FAILED:
            return
        self._move(turn, State.QUEUED)
        self.ends[State.FAILED] -= 1
        turn.gone, turn.events = turn.gone + len(turn.events), []
        turn.forgiven = turn.attempts
        self.closed.pop(turn.id, None)
        if session.idle or turn.answers:
            session.phase = "dispatched"
        session.line.insert(0 if turn.answers else len(session.line), turn)

    @rule(session=_sessions, really=_pick)
    def erase(self, session: str, really: int) -> None:
        if really < 7:
            return
        mine = [turn for turn in self.known.values() if turn.session == session]
        assert self.turns.erase(session) == (len(mine), len(self.sessions[session].history))
        for turn in mine:
            self.erased[turn.id] = self.known.pop(turn.id)
            self.closed.pop(turn.id, None)
            if not turn.state.ended:
                self.ends[State.CANCELLED] += 1
        self.sessions[session] = Session()

    @rule(pick=_pick)
    def meet_an_erased_turn(self, pick: int) -> None:
        """Nobody finds it again, whether its record is there or not; its id may be used."""
        if not self.erased:
            return
        id = list(self.erased)[-1 - pick % len(self.erased)]
        for call in (self.turns.status, self.turns.cancel, self.turns.retry):
            with pytest.raises(UnknownTurn):
                call(id)
        if pick % 2:
            self._submit(self.erased.pop(id).session, id=id)

    @rule()
    def sweep_erased(self) -> None:
        self.turns.sweep_erased()

    # What workers do.

    @rule(writes=st.integers(0, 30))
    def cut_the_next(self, writes: int) -> None:
        """Cut short the next call that ends a turn, gives it back or adds to it; it is made again."""
        self.turns.writes = writes

    @rule(pick=_pick, twice=st.booleans(), keep=st.booleans(), worker=st.sampled_from(("w1", "w2")))
    def claim(self, pick: int, twice: bool, keep: bool, worker: str) -> None:
        """Claim by one of the dispatches at hand; perhaps with the reply lost, perhaps to come again as a double."""
        self._pop()
        if not self.popped:
            return
        id = self.popped[-1 - pick % len(self.popped)]
        if not keep:
            self.popped.remove(id)
        nonce = f"n{next(self.numbers)}"
        reply = self.turns.claim(id, worker, nonce)
        turn = self.known.get(id)
        if turn is None:
            assert reply in ("unknown", "stale")
            return
        session = self.sessions[turn.session]
        if turn not in session.line[:1] or session.phase != "dispatched":
            assert reply == "stale"
            return
        self._claimed(turn, session, reply, nonce)
        if twice:
            again = self.turns.claim(id, worker, nonce)
            assert isinstance(reply, Claim)
            assert isinstance(again, Claim)
            assert (again.token, again.sequence, again.window) == (reply.token, reply.sequence, reply.window)

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
        if len(session.history) <= 40:
            assert set(dangling(session.history)) == reply.answers.keys()
        self.claims.append(reply)

    @rule()
    def renew(self) -> None:
        words = self.turns.renew("w1", self.claims)
        for claim, word in zip(self.claims, words, strict=True):
            turn = self.known.get(claim.id)
            known = turn or self.erased.get(claim.id)
            cancelled = known is not None and known.state is State.CANCELLED
            expected = ("kept",) if self._owns(claim) else ("cancelled", "lost") if cancelled else ("lost",)
            assert word in (expected if known is not turn else expected[:1])

    @rule(pick=_pick, texts=st.integers(0, 3), twice=st.booleans(), out_of_step=st.booleans())
    def emit(self, pick: int, texts: int, twice: bool, out_of_step: bool) -> None:
        claim = self._claim(pick)
        turn = self.known.get(claim.id)
        after = 0 if turn is None else turn.gone + len(turn.events) - out_of_step
        reply = self.turns.emit(claim, after, ["x"] * texts)
        if not self._owns(claim):
            assert reply is None
            return
        assert turn is not None
        # A call that is a step behind is a repeat whose first text is there already.
        turn.events += ["text x"] * max(0, texts - out_of_step)
        assert reply == turn.gone + len(turn.events)
        if twice and texts:
            assert self.turns.emit(claim, after, ["x"] * texts) == reply

    @rule(
        pick=_pick,
        state=st.sampled_from((State.COMPLETED, State.COMPLETED, State.INCOMPLETE, State.FAILED)),
        rest=st.booleans(),
        twice=st.booleans(),
        asks=st.booleans(),
    )
    def finish(self, pick: int, state: State, rest: bool, twice: bool, asks: bool) -> None:
        """Finish as the owner or as a worker that lost the turn; perhaps with the reply lost."""
        claim = self._claim(pick)
        turn = self.known.get(claim.id)
        after = 0 if turn is None else turn.gone + len(turn.events)
        owns = self._owns(claim)
        messages, output = [], said("x" if state.answered else "")
        if state.answered:
            messages = [*answered(claim), *pair(claim.id)]
        asks = asks and state is State.COMPLETED and turn is not None
        if asks and turn is not None:
            messages, output = [*answered(claim), *asking(claim.id, turn.call)], (turn.call,)
        closings = closing(claim.id, output)
        outcome = Outcome(state, output, code="" if state.answered else "internal", message="no", closing=closings)
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

    @rule(pick=_pick, delay=st.sampled_from((0.0, 600.0)), forgive=st.booleans(), twice=st.booleans())
    def requeue(self, pick: int, delay: float, forgive: bool, twice: bool) -> None:
        claim = self._claim(pick)
        if claim.token in self.returned:
            before = self.scene.picture()
            self.turns.requeue(claim, delay, forgive=forgive)
            assert self.scene.picture() == before
            return
        owns = self._owns(claim)
        assert self.turns.requeue(claim, delay, forgive=forgive) is owns
        if not owns:
            return
        turn = self.known[claim.id]
        self._move(turn, State.QUEUED)
        turn.forgiven += forgive
        self.sessions[turn.session].phase = "delayed" if delay else "dispatched"
        self.returned.add(claim.token)
        if twice:
            assert self.turns.requeue(claim, delay, forgive=forgive) is True

    # What happens to them.

    @rule()
    def lose_dispatches(self) -> None:
        self._pop()
        self.popped = []

    @rule(queue=_queues)
    def lose_a_queue(self, queue: str) -> None:
        self.client.delete(queue)

    @rule(session=_sessions)
    def pass_time_and_sweep(self, session: str) -> None:
        """Let time pass until the session is due and its worker has lost the lease, and sweep."""
        home = self.sessions[session]
        self.scene.make_due(session)
        if home.held or (home.line and home.phase == "running"):
            self.client.hset(self.scene.keys.session(session), "lease", 1)
        dispatches = self._dispatches(home)
        done = self.turns.sweep()
        assert done.seen == (0 if home.idle else 1)
        if home.held:
            assert done.expired == 1
            home.close()
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
        else:
            assert done.redispatched == self._dispatches(home) - dispatches

    @rule()
    def sweep(self) -> None:
        assert self.turns.sweep().seen == 0

    # The model's own moves.

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
        self._move(turn, state)
        turn.events.append(f"ended {state}")
        self.ends[state] += 1
        session = self.sessions[turn.session]
        if session.line[0] is turn and not session.held:
            session.phase, session.owner = "dispatched", ""
            if asks:
                session.asking, session.phase = turn, "held"
            elif state.answered:
                session.asking = None
            elif turn.answers and state is State.CANCELLED:
                session.close()
            elif turn.answers:
                session.phase = "held"
        session.line.remove(turn)

    # What always holds.

    @invariant()
    def all_is_as_the_model_has_it(self) -> None:
        self._each_session_stands_where_the_model_has_it()
        self._at_most_one_turn_of_a_session_runs()
        self._each_turn_is_recorded_as_the_model_has_it()
        self._events_have_no_gaps()
        self._histories_are_whole_pairs_in_order_each_once()
        self._the_counters_add_up()
        self._workers_own_what_they_hold()

    def _each_session_stands_where_the_model_has_it(self) -> None:
        for name, session in self.sessions.items():
            seat = self.scene.seat(name)
            if self.turns.cuts and session.idle:
                self.scene.make_due(name)  # a cut may have left the due entry: the sweep drops it
                self.turns.sweep()
            due = self.client.zscore(self.scene.keys.due, name)
            # A cut may have left the head in the mailbox, too, where it is passed over.
            waiting = [id for id in self.scene.waiting(name) if self.turns.cuts == 0 or id != seat.get("head")]
            assert waiting == [turn.id for turn in (session.line if session.held else session.line[1:])]
            assert (due is not None) != session.idle
            if session.idle:
                assert seat == {}
                continue
            head = session.asking if session.held else session.line[0]
            assert head
            assert (seat["head"], seat["phase"]) == (head.id, session.phase)
            assert seat.get("held", "") == (session.asking.id if session.asking else "")
            running = session.phase == "running"
            if running or not self.turns.cuts:
                assert running == ("owner" in seat) == ("worker" in seat)
                assert (running or session.held) == ("lease" in seat)
            assert not running or seat["owner"] == session.owner
        assert self.client.zcard(self.scene.keys.due) == sum(not s.idle for s in self.sessions.values())
        if not self.turns.cuts:
            assert set(self.turns.held()) == {name for name, session in self.sessions.items() if session.held}

    def _at_most_one_turn_of_a_session_runs(self) -> None:
        for session in self.sessions.values():
            running = [turn for turn in session.line if turn.state is State.RUNNING]
            assert running == session.line[: len(running)]
            assert len(running) == (session.phase == "running" and bool(session.line))

    def _each_turn_is_recorded_as_the_model_has_it(self) -> None:
        pipeline = self.client.pipeline(transaction=False)
        for id in self.known:
            pipeline.hmget(self.scene.keys.turn(id), "state", "attempts", "code")
            pipeline.pttl(self.scene.keys.turn(id))
        found = iter(pipeline.execute())
        for turn in self.known.values():
            state, attempts, code = next(found)
            assert (state, int(attempts), code is not None) == (turn.state, turn.attempts, turn.state is State.FAILED)
            assert (next(found) > 0) == turn.state.ended

    def _events_have_no_gaps(self) -> None:
        pipeline = self.client.pipeline(transaction=False)
        for id in self.known:
            pipeline.xrange(self.scene.keys.events(id))
        for turn, entries in zip(self.known.values(), pipeline.execute(), strict=True):
            assert [name for name, _ in entries] == [f"{turn.gone + place}-0" for place in range(1, len(entries) + 1)]
            kinds = [f"{e['type']} {e['attempt'] if e['type'] == 'started' else e['data']}" for _, e in entries]
            assert kinds == turn.events

    def _histories_are_whole_pairs_in_order_each_once(self) -> None:
        for name, session in self.sessions.items():
            assert self.scene.history(name) == session.history
            assert bool(dangling(session.history)) == bool(session.asking)

    def _the_counters_add_up(self) -> None:
        counts = self.turns.stats()
        unfinished = sum(len(session.line) for session in self.sessions.values())
        assert counts.get("open", 0) == unfinished
        assert counts.get("accepted", 0) == self.accepted == unfinished + sum(self.ends.values())
        missed = {state: count - counts.get(state, 0) for state, count in self.ends.items()}
        assert min(missed.values()) >= 0
        assert sum(missed.values()) <= self.turns.cuts
        assert set(self.turns.failed()) - self.erased.keys() == {
            id for id, turn in self.known.items() if turn.state is State.FAILED
        }

    def _workers_own_what_they_hold(self) -> None:
        owned = {name for key in self.client.keys(self.scene.keys.owned("*")) for name in self.client.smembers(key)}
        assert owned == {name for name, s in self.sessions.items() if s.line and s.phase == "running"}

    # In the end.

    def teardown(self) -> None:
        """Whatever has happened: sweeps and claims bring every accepted turn to its end, in order."""
        if not hasattr(self, "turns"):
            return
        for name, session in self.sessions.items():
            if session.held:
                self.release(name)
            while session.line:
                claim = self._take(name)
                assert self.scene.complete(claim) is State.COMPLETED
                session.history += [*answered(claim), *pair(claim.id)]
                self._end(session.line[0], State.COMPLETED)
        self.all_is_as_the_model_has_it()
        self.scene.assert_idle(*SESSIONS)
        while self.turns.sweep_erased():
            pass
        assert not [id for id in self.erased if self.client.exists(self.scene.keys.turn(id))]
        assert not self.client.exists(self.scene.keys.erasures)
        self.scene.assert_all_will_expire(histories_last=False)
        self.client.close()

    def _take(self, name: str) -> Claim:
        """See to it that the session's head runs, and return its owner's claim."""
        session = self.sessions[name]
        if session.held:
            self.release(name)
        if not session.line:
            self._submit(name)
        if session.phase == "delayed":
            self.pass_time_and_sweep(name)
        if session.phase == "dispatched":
            turn, nonce = session.line[0], f"n{next(self.numbers)}"
            self._claimed(turn, session, self.turns.claim(turn.id, "w1", nonce), nonce)
        return next(claim for claim in self.claims if claim.session == name and self._owns(claim))


@pytest.mark.timeout(7_200)
def test_the_scripts_do_as_the_model(redis_url: str) -> None:
    machine = type("BoundTurns", (Turns,), {"url": redis_url})
    run_state_machine_as_test(machine, settings=profile.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci")))
