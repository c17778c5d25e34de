"""The comparison of everything that is stored with the model."""

from hypothesis.stateful import invariant

from tests.scripts.graph_steps import GRAPH, after_calls, knower
from tests.scripts.machine_model import MODEL, SESSIONS, Model
from tests.scripts.scene import dangling
from turnstile.turns.celery_message import QUEUES
from turnstile.turns.ids import tenant_of
from turnstile.turns.states import State
from turnstile.turns.store.steps import Place


class Checked(Model):
    """The model, with the comparison after each step, and an end of all turns in the end."""

    @invariant()
    def all_is_as_the_model_has_it(self) -> None:
        self._each_session_stands_where_the_model_has_it()
        self._at_most_one_turn_of_a_session_runs()
        self._each_turn_is_recorded_as_the_model_has_it()
        self._events_have_no_gaps()
        self._histories_are_whole_pairs_in_order_each_once()
        self._the_counters_add_up()
        self._workers_own_what_they_hold()
        self._the_next_attempt_finds_what_was_kept()
        self._schedules_wait_for_their_next_ticks()
        self._what_schedules_ask_is_counted()
        self._what_unfinished_turns_ask_is_counted()
        if not self.turns.cuts:
            self._who_is_ready_stands_in_the_line()
            self._slots_are_had_by_those_who_run()
            self._a_budget_that_turns_wait_for_is_kept()

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
            assert seat["head"] == head.id
            assert seat["phase"] == session.phase or (session.phase, seat["phase"]) == ("dispatched", "ready")
            assert seat.get("held", "") == (session.asking.id if session.asking else "")
            running = session.phase == "running"
            if running or not self.turns.cuts:
                assert running == ("owner" in seat) == ("worker" in seat)
                assert (running or session.held) == ("lease" in seat)
            assert not running or seat["owner"] == session.owner
        assert self.client.zcard(self.scene.keys.due) == sum(not s.idle for s in self.sessions.values())
        if not self.turns.cuts:
            assert set(self.turns.held()) == {name for name, session in self.sessions.items() if session.held}

    def _a_budget_that_turns_wait_for_is_kept(self) -> None:
        keys = self.scene.keys
        if self.client.exists(*(keys.rotation(f"{queue}@{MODEL}") for queue in QUEUES)):
            assert self.client.pttl(keys.budget(MODEL)) in (-1, -2)

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
        unfinished = sum(not turn.state.ended for turn in self.known.values())
        assert counts.get("open", 0) == unfinished
        assert counts.get("accepted", 0) == self.accepted == unfinished + sum(self.ends.values())
        missed = {state: count - counts.get(state, 0) for state, count in self.ends.items()}
        assert min(missed.values()) >= 0
        assert sum(missed.values()) <= self.turns.cuts
        assert set(self.turns.failed()) - self.erased.keys() == {
            id for id, turn in self.known.items() if turn.state is State.FAILED
        }

    def _what_unfinished_turns_ask_is_counted(self) -> None:
        keys, asked = self.scene.keys, {tenant_of(name): dict[str, int]() for name in SESSIONS}
        for turn in self.known.values():
            if not turn.state.ended:
                asked[tenant_of(turn.session)][turn.id] = self._asked_bytes(keys.turn(turn.id))
        for tenant, sizes in asked.items():
            assert self._counted(keys.open_bytes(tenant)) == ({**sizes, "": sum(sizes.values())} if sizes else {})

    def _workers_own_what_they_hold(self) -> None:
        owned = {name for key in self.client.keys(self.scene.keys.owned("*")) for name in self.client.smembers(key)}
        assert owned == {name for name, s in self.sessions.items() if s.line and s.phase == "running"}

    def _the_next_attempt_finds_what_was_kept(self) -> None:
        start = self.scene.keys.steps()
        assert {key.removeprefix(start) for key in self.client.keys(f"{start}*")} - self.erased.keys() == self.kept.keys()
        for turn in self.known.values():
            if kept := self.kept.get(turn.thread):
                expected = after_calls(kept.calls, kept.known.get(knower(turn.id, {"answers": turn.answers}), ""))
                assert self.turns.read_checkpoint(turn.id, Place(turn.thread, GRAPH)) == expected

    def _schedules_wait_for_their_next_ticks(self) -> None:
        found = {schedule.id: (schedule.session, round(schedule.next * 1000)) for schedule in self.turns.schedules()}
        assert found == {id: (on.session, on.tick) for id, on in self.schedules.items()}

    def _what_schedules_ask_is_counted(self) -> None:
        keys = self.scene.keys
        for tenant in {tenant_of(name) for name in SESSIONS}:
            mine = {id: on.session for id, on in self.schedules.items() if tenant_of(on.session) == tenant}
            sizes = {f"{session} {id}": self._asked_bytes(keys.schedule(id)) for id, session in mine.items()}
            assert self._counted(keys.scheduled_bytes(tenant)) == ({**sizes, "": sum(sizes.values())} if sizes else {})

    def _asked_bytes(self, record: str) -> int:
        return sum(self.client.hstrlen(record, name) for name in ("question", "options"))

    def _counted(self, account: str) -> dict[str, int]:
        return {id: int(size) for id, size in self.client.hgetall(account).items()}

    def _who_is_ready_stands_in_the_line(self) -> None:
        lines: dict[str, set[str]] = {}
        for name, session in self.sessions.items():
            if session.line and self._ready(name):
                tenant = name.rpartition("/")[0]
                model = self.client.hget(self.scene.keys.turn(session.line[0].id), "waits_for")
                line = session.line[0].options.queue + (f"@{model}" if model else "")
                lines.setdefault(f"{line}:{tenant}", set()).add(name)
        keys = self.scene.keys
        found = {
            key.removeprefix(keys.ready()): set(self.client.zrange(key, 0, -1)) for key in self.client.keys(keys.ready("*"))
        }
        assert found == lines
        for at in (*QUEUES, *(f"{queue}@{MODEL}" for queue in QUEUES)):
            assert not self.client.exists(keys.parked(at))
            tenants = {line.partition(":")[2] for line in lines if line.startswith(f"{at}:")}
            assert set(self.client.zrange(keys.rotation(at), 0, -1)) == tenants
        counts = self.turns.stats()
        for queue in QUEUES:
            assert counts[f"ready:{queue}"] == sum(len(who) for line, who in lines.items() if line.startswith(f"{queue}:"))

    def _slots_are_had_by_those_who_run(self) -> None:
        """Those of tenants are counted, and of turns that came by `batch`; those of others from the first tenant on."""
        keys, slots = self.scene.keys, self.client.smembers(self.scene.keys.slots("tenant"))
        taken = {
            name: session.line[0].options.queue
            for name, session in self.sessions.items()
            if session.line and session.phase in ("dispatched", "running") and not self._ready(name)
        }
        assert slots == {name for name in taken if name.startswith("tenant/")}
        assert self.client.smembers(keys.batch_slots) == {name for name, queue in taken.items() if queue == "batch"}
        assert self.client.smembers(keys.slots()) <= taken.keys()
        unfinished = {turn.id for turn in self.known.values() if turn.session == "tenant/bar" and not turn.state.ended}
        assert set(self.client.zrange(keys.open_turns("tenant"), 0, -1)) == unfinished

    def teardown(self) -> None:
        """Whatever has happened: sweeps and claims bring every accepted turn to its end, in order."""
        if not hasattr(self, "turns"):
            return
        for name, session in self.sessions.items():
            if session.held:
                self._release(name)
            while session.line:
                claim = self._take(name)
                self._finish(claim, State.COMPLETED)
        for id in list(self.schedules):
            assert self.turns.remove_schedule(id)
            del self.schedules[id]
        self._end_pause()
        self._forget_model()
        self.client.delete(*QUEUES)
        self.turns.sweep()
        self.all_is_as_the_model_has_it()
        self.scene.assert_idle(*SESSIONS)
        while self.turns.sweep_erased():
            pass
        assert not [id for id in self.erased if self.client.exists(self.scene.keys.turn(id))]
        assert not self.client.exists(self.scene.keys.erasures)
        self.scene.assert_all_will_expire(histories_last=False)
        self.client.close()
