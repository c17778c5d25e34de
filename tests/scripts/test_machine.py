"""The real scripts against a small plain model, in any order of events that hypothesis can think of.

A rule that lacks something to work on makes it first: hypothesis leaves rules out of an example at random, and would else
hardly ever come as far as the end of a turn.

`HYPOTHESIS_PROFILE=long` looks for longer.
"""

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import settings as profile
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from tests.scripts.graph_steps import knower, next_step
from tests.scripts.machine_checks import Checked
from tests.scripts.machine_model import MODEL, OTHER, SESSIONS, Kept, Scheduled, Session, Turn
from turnstile.turns.celery_message import QUEUES
from turnstile.turns.errors import CallNotAnswered, CallNotOpen, SessionBusy, SessionHeld, TurnConflict, UnknownTurn
from turnstile.turns.ids import tenant_of
from turnstile.turns.question import Options
from turnstile.turns.schedules import DueTick
from turnstile.turns.states import State
from turnstile.turns.store.budgets import OtherBudget
from turnstile.turns.turn import Claim

_ANY: dict[str, Any] = {"deadline": None, "suppress_health_check": list(HealthCheck), "report_multiple_bugs": False}
profile.register_profile("quick", phases=(Phase.generate,), max_examples=200, stateful_step_count=40, **_ANY)
profile.register_profile("ci", derandomize=True, database=None, max_examples=150, stateful_step_count=40, **_ANY)
profile.register_profile("long", print_blob=True, max_examples=3_000, stateful_step_count=100, **_ANY)

_sessions = st.sampled_from(SESSIONS)
_queues = st.sampled_from(QUEUES)
_pick = st.integers(0, 10)
_MINUTE_MS = 60_000
_KIND = "fast gpt"


class Turns(Checked):
    """Rules are the steps of callers and workers, and faults; after each, all that is stored is compared with the model."""

    # Steps of callers.

    @rule(session=_sessions, queue=_queues, stream=st.booleans(), reply=st.booleans())
    def submit(self, session: str, queue: str, stream: bool, reply: bool) -> None:
        self._submit(session, queue, stream, reply)

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
            self._close(home)
            # Others that wait go first; the sweep lets them.
            assert self.turns.sweep().seen == bool(home.line)
        elif not home.line:
            home.phase = "dispatched"
        self._accept(turn, len(home.line))

    @rule(session=_sessions)
    def submit_to_an_idle_session(self, session: str) -> None:
        home = self.sessions[session]
        turn = Turn(f"t{next(self.numbers)}", session, "what now?", Options())
        if not home.idle:
            with pytest.raises((SessionBusy, SessionHeld)):
                self.turns.submit(turn.id, session, turn.question, turn.options, when_busy="reject")
            return
        assert self.turns.submit(turn.id, session, turn.question, turn.options, when_busy="reject").place == 0
        home.phase = "dispatched"
        self._accept(turn, 0)

    @rule(session=_sessions, way=st.sampled_from(("interrupt", "rollback")), twice=st.booleans())
    def submit_and_stop(self, session: str, way: str, twice: bool) -> None:
        """Ask, and stop whatever the session is at; perhaps with the reply lost."""
        home, turn = self.sessions[session], Turn(f"t{next(self.numbers)}", session, "what now?", Options())
        for _ in range(1 + twice):
            self.turns.submit(turn.id, session, turn.question, turn.options, when_busy=way)
        if home.held:
            self._close(home)
            assert self.turns.sweep().seen == bool(home.line)
        elif home.idle:
            home.phase = "dispatched"
        elif way == "rollback":
            self._end(home.line[0], State.CANCELLED)
        else:
            home.line[0].interrupted = True
            home.phase = "dispatched" if home.phase == "delayed" else home.phase
        self._accept(turn, len(home.line))

    @rule(session=_sessions, many=st.integers(1, 3))
    def submit_to_be_merged(self, session: str, many: int) -> None:
        home = self.sessions[session]
        for _ in range(many):
            turn = Turn(f"t{next(self.numbers)}", session, "what now?", Options(), merges=True)
            self.turns.submit(turn.id, session, turn.question, turn.options, when_busy="merge")
            if home.held:
                self._close(home)
                assert self.turns.sweep().seen == bool(home.line)
            elif home.idle:
                home.phase = "dispatched"
            self._accept(turn, len(home.line))

    @rule(session=_sessions, twice=st.booleans(), kept=st.sampled_from((True, True, False)))
    def submit_and_steer(self, session: str, twice: bool, kept: bool) -> None:
        home, turn = self.sessions[session], Turn(f"t{next(self.numbers)}", session, "what now?", Options(store=kept))
        for _ in range(1 + twice):
            self.turns.submit(turn.id, session, turn.question, turn.options, when_busy="steer")
        place = len(home.line)
        if home.held:
            self._close(home)
            assert self.turns.sweep().seen == bool(home.line)
        elif home.idle:
            home.phase = "dispatched"
        elif kept == home.line[0].options.store and self._has_room(home):
            turn.steers, place = True, 1 + len(self._steering(home))
            home.line[0].steered = True
        self._accept(turn, place)

    @rule(pick=_pick, twice=st.booleans(), steers=st.booleans())
    def merge(self, pick: int, twice: bool, steers: bool) -> None:
        """Take what is to be merged, as the owner or as a worker that lost the turn; perhaps with the reply lost."""
        claim = self._claim(pick)
        owns = self._owns(claim)
        if owns:
            self._merge(self.known[claim.id], steers=steers)
        for _ in range(1 + twice):
            found = self.turns.merge(claim, steers=steers)
            assert (found is not None) == owns
            if found is not None:
                assert len(found) == len(self.known[claim.id].members or ())
                assert {other.options.store for other in found} <= {claim.options.store}

    @rule(session=_sessions, stream=st.booleans(), right=st.booleans(), first=st.booleans())
    def answer(self, session: str, stream: bool, right: bool, first: bool) -> None:
        """Answer the open call; perhaps another, or none that there is, or one that was answered already."""
        if first:
            self._hold(session)
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

    @rule(session=_sessions, first=st.booleans())
    def release(self, session: str, first: bool) -> None:
        if first:
            self._hold(session)
        self._release(session)

    @rule(pick=_pick)
    def submit_again(self, pick: int) -> None:
        turn = self._turn(pick)
        done = self.turns.submit(turn.id, turn.session, turn.question, turn.options)
        assert (done.fresh, done.state) == (False, turn.state)
        with pytest.raises(TurnConflict):
            self.turns.submit(turn.id, turn.session, "something else", turn.options)

    @rule(pick=_pick, keep=st.booleans())
    def cancel(self, pick: int, keep: bool) -> None:
        turn = self._turn(pick)
        concerned, home = turn.merged or turn, self.sessions[turn.session]
        if turn.state.ended:
            assert self.turns.cancel(turn.id, keep=keep) is turn.state
        elif keep and concerned.attempts and concerned in home.line[:1]:
            assert self.turns.cancel(turn.id, keep=True) is concerned.state
            concerned.interrupted = True
            home.phase = "dispatched" if home.phase == "delayed" else home.phase
        else:
            assert self.turns.cancel(turn.id, keep=keep) is State.CANCELLED
            self._end(concerned, State.CANCELLED)

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
        turn.forgiven, turn.interrupted = turn.attempts, False
        turn.merges, turn.steers, turn.steered, turn.merged, turn.members = False, False, False, None, None
        self.closed.pop(turn.id, None)
        if session.idle or turn.answers:
            session.phase = "dispatched"
        session.line.insert(0 if turn.answers else len(session.line), turn)

    @rule(session=_sessions, really=_pick)
    def erase(self, session: str, really: int) -> None:
        if really < 7:
            return
        for id, due in self._take_ticks().items():
            if due.session == session:
                self._leave_behind(id, due)
        mine = [turn for turn in self.known.values() if turn.session == session]
        assert self.turns.erase(session) == (len(mine), len(self.sessions[session].history))
        for turn in mine:
            self.erased[turn.id] = self.known.pop(turn.id)
            self.closed.pop(turn.id, None)
            self.kept.pop(turn.thread, None)
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

    # Schedules.

    @rule(session=_sessions, again=st.booleans())
    def schedule(self, session: str, again: bool) -> None:
        """Have a question asked at a time, or at each tick of a rule; the first is past."""
        id = f"s{next(self.numbers)}"
        for fresh in (True, False):
            if again:
                assert self.turns.schedule(id, session, "what now?", cron="* * * * *", now=1) is fresh
            else:
                assert self.turns.ask_later(id, session, "what now?", not_before=1) is fresh
        self.schedules[id] = Scheduled(session, _MINUTE_MS if again else 1_000, again)

    @rule(pick=_pick, missed=st.booleans(), twice=st.booleans())
    def ask_a_tick(self, pick: int, missed: bool, twice: bool) -> None:
        """Take the ticks that are due, and ask one of them, or leave it out; perhaps with the reply lost."""
        if not self.schedules:
            self.schedule(SESSIONS[pick % 2], bool(pick % 3))
        id = list(self.schedules)[-1 - pick % len(self.schedules)]
        on, due = self.schedules[id], self._take_ticks()[id]
        turn = Turn(f"{id}-{on.tick}" if on.again else id, on.session, "what now?", Options())
        following = on.tick + _MINUTE_MS if on.again else None
        for _ in range(1 + twice):
            assert self.turns.ask_scheduled(due, following, missed=missed) == ""
        self._leave_behind(id, due)
        if on.again:
            self.schedules[id] = Scheduled(on.session, on.tick + _MINUTE_MS, on.again)
        if missed:
            return
        home = self.sessions[on.session]
        if home.idle:
            home.phase = "dispatched"
        self._accept(turn, len(home.line))

    @rule(pick=_pick)
    def ask_a_tick_too_late(self, pick: int) -> None:
        if self.late:
            due = self.late[-1 - pick % len(self.late)]
            assert self.turns.ask_scheduled(due, due.tick + _MINUTE_MS, missed=bool(pick % 2)) == ""

    @rule(pick=_pick)
    def remove_a_schedule(self, pick: int) -> None:
        if self.schedules:
            id = list(self.schedules)[-1 - pick % len(self.schedules)]
            due = self._take_ticks()[id]
            assert [self.turns.remove_schedule(id) for _ in range(2)] == [True, False]
            self._leave_behind(id, due)

    def _take_ticks(self) -> dict[str, DueTick]:
        """Return every tick that is due, as a worker takes them whose predecessor has died with them."""
        for entry in self.client.zrange(self.scene.keys.schedules_due, 0, -1):
            self.client.zadd(self.scene.keys.schedules_due, {entry: 1})
        found = {due.schedule: due for due in self.turns.claim_schedules()[1]}
        assert {id: due.tick for id, due in found.items()} == {id: on.tick for id, on in self.schedules.items()}
        return found

    def _leave_behind(self, id: str, due: DueTick) -> None:
        self.late.append(due)
        del self.schedules[id]

    # Steps of workers.

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
        nonce, turn = f"n{next(self.numbers)}", self.known.get(id)
        ready = turn is not None and self._ready(turn.session)
        reply = self.turns.claim(id, worker, nonce)
        if turn is None:
            assert reply in ("unknown", "stale")
            return
        session = self.sessions[turn.session]
        if turn not in session.line[:1] or session.phase != "dispatched" or ready:
            assert reply == "stale"
            return
        self._claimed(turn, session, reply, nonce)
        if twice:
            again = self.turns.claim(id, worker, nonce)
            assert isinstance(reply, Claim)
            assert isinstance(again, Claim)
            assert (again.token, again.sequence, again.window) == (reply.token, reply.sequence, reply.window)

    @rule()
    def renew(self) -> None:
        words = self.turns.renew("w1", self.claims)
        for claim, word in zip(self.claims, words, strict=True):
            turn = self.known.get(claim.id)
            known = turn or self.erased.get(claim.id)
            cancelled = known is not None and known.state is State.CANCELLED
            kept = "interrupted" if turn and turn.interrupted else "kept"
            expected = (kept,) if self._owns(claim) else ("cancelled", "lost") if cancelled else ("lost",)
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

    @rule(pick=_pick, twice=st.booleans())
    def keep_a_step(self, pick: int, twice: bool) -> None:
        """Keep the next step of a graph as the owner or as a worker that lost the turn; perhaps with the reply lost."""
        self._keep(self._claim(pick), twice=twice)

    def _keep(self, claim: Claim, *, twice: bool = False) -> None:
        kept = self.kept.get(claim.thread, Kept())
        owns = self._owns(claim)
        for _ in range(1 + twice):
            assert next_step(self.turns, claim, claim.thread, kept.calls) is owns
        assert self.turns.owns(claim) is owns
        if owns:
            kept.calls += 1
            kept.known.setdefault(knower(claim.id, {"answers": self.known[claim.id].answers}), f"known by {claim.token}")
            self.kept[claim.thread] = kept

    @rule(
        pick=_pick,
        state=st.sampled_from((State.COMPLETED, State.COMPLETED, State.INCOMPLETE, State.FAILED)),
        rest=st.booleans(),
        twice=st.booleans(),
        asks=st.booleans(),
    )
    def finish(self, pick: int, state: State, rest: bool, twice: bool, asks: bool) -> None:
        """Finish as the owner or as a worker that lost the turn; perhaps with the reply lost."""
        self._finish(self._claim(pick), state, rest=rest, twice=twice, asks=asks)

    def _hold(self, session: str) -> None:
        """See to it that the session is held, by a turn whose steps are kept."""
        while not self.sessions[session].held:
            claim = self._take(session)
            self._keep(claim)
            self._finish(claim, State.COMPLETED, asks=True)

    @rule(
        pick=_pick,
        delay=st.sampled_from((0.0, 600.0)),
        forgive=st.booleans(),
        twice=st.booleans(),
        away=st.sampled_from(("", _KIND)),
    )
    def requeue(self, pick: int, delay: float, forgive: bool, twice: bool, away: str) -> None:
        claim = self._claim(pick)
        if claim.token in self.returned:
            before = self.scene.picture()
            self.turns.requeue(claim, delay, forgive=forgive, away=away)
            assert self.scene.picture() == before
            return
        owns = self._owns(claim)
        assert self.turns.requeue(claim, delay, forgive=forgive, away=away) is owns
        if not owns:
            return
        turn = self.known[claim.id]
        self._move(turn, State.QUEUED)
        turn.forgiven += forgive
        self.sessions[turn.session].phase = "delayed" if delay else "dispatched"
        self.returned.add(claim.token)
        if twice:
            assert self.turns.requeue(claim, delay, forgive=forgive, away=away) is True
        if away and delay and not self.turns.cuts:
            keys = self.scene.keys
            assert self.client.zscore(keys.outage(_KIND), claim.id) == self.client.zscore(keys.due, claim.session)

    @rule()
    def end_an_outage(self) -> None:
        """Those that wait for a server are due, and no others; nothing else has changed."""
        keys = self.scene.keys
        due = dict(self.client.zrange(keys.due, 0, -1, withscores=True))
        ends = dict(self.client.zrange(keys.outage(_KIND), 0, -1, withscores=True))
        waiting = {id for id in ends if id in self.known and ends[id] == due.get(self.known[id].session)}
        assert self.turns.end_outage(_KIND) == 0
        sent = {session for session, at in self.client.zrange(keys.due, 0, -1, withscores=True) if at != due[session]}
        assert sent == {self.known[id].session for id in waiting} or self.turns.cuts
        for session in sent:
            assert self.sessions[session].phase == "delayed"
            self.client.zadd(keys.due, {session: due[session]})

    @rule(
        pick=_pick,
        begun=st.booleans(),
        twice=st.booleans(),
        others=st.sampled_from(((), (OTHER,))),
        refused=st.sampled_from(("", "alone", "everybody")),
    )
    def wait_for_a_model(self, pick: int, begun: bool, twice: bool, others: tuple[OtherBudget, ...], refused: str) -> None:
        """Give a turn back that lacks a place in the budget of a model; perhaps its server has refused the call.

        Then the model is paused, for this tenant or for everybody, until a rule ends that. A turn goes on at once where the
        model is not paused for it, or where `others` may answer, whose budgets are free, and nobody stands before it.
        """
        claim = self._claim(pick)
        if claim.token in self.returned:
            return
        owns = self._owns(claim)
        if refused:
            self._refuse(claim, nothing_left=refused == "everybody")
        # Nobody is late to take what was sent.
        self.client.delete(self.scene.keys.promised(MODEL), self.scene.keys.coming(MODEL))
        for _ in range(1 + twice):
            waiting: dict[str, Any] = {"waits_for": MODEL, "tokens": 10, "begun": begun, "others": others}
            assert self.turns.requeue(claim, forgive=True, **waiting) is owns
        if not owns:
            return
        turn = self.known[claim.id]
        self._move(turn, State.QUEUED)
        turn.forgiven += 1
        self._hear_of_waits()
        told = turn.options.stream and not turn.interrupted
        # A call that was cut short after the turn had been sent tells of the wait twice.
        assert turn.events[-2:].count("waiting gpt") == told or self.turns.cuts
        self.sessions[turn.session].phase = "dispatched"
        self.returned.add(claim.token)
        alone, everybody = self.paused
        # With others it depends on those that stand before it.
        if not (others or turn.interrupted or self.turns.cuts):
            waits = self.turns.status(turn.id).waits_for is not None
            assert waits == (everybody or alone == tenant_of(turn.session))

    @rule(known=st.booleans())
    def know_the_model(self, known: bool) -> None:
        """Let it be known with a call of which model turns begin, or be forgotten."""
        if known:
            self._know_model()
        else:
            self._forget_model()

    @rule()
    def end_the_pause(self) -> None:
        self._end_pause()
        assert self.turns.sweep().seen == 0

    # Losses, and the passing of time.

    @rule()
    def lose_dispatches(self) -> None:
        self._pop()
        self.popped = []

    @rule(queue=_queues)
    def lose_a_queue(self, queue: str) -> None:
        self.client.delete(queue)

    @rule(session=_sessions)
    def pass_time_and_sweep(self, session: str) -> None:
        self._pass_time(session)

    @rule()
    def sweep(self) -> None:
        assert self.turns.sweep().seen == 0


@pytest.mark.timeout(7_200)
def test_the_scripts_do_as_the_model(redis_url: str) -> None:
    machine = type("BoundTurns", (Turns,), {"url": redis_url})
    run_state_machine_as_test(machine, settings=profile.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci")))
