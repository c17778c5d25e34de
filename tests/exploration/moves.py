"""The moves from a state: a call of a real script, or something that the world does by itself."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import takewhile
from typing import Any, cast

from tests.exploration.kept import calls_kept, note_step, thread_of
from tests.exploration.move import Move
from tests.exploration.results import accepted_at, anything, claimed, equals, is_count, is_there, refusable, reserved, swept
from tests.exploration.scope import Scope
from tests.exploration.ticks import tick_moves
from tests.exploration.world import AWHILE, FUTURE, KEYS, MODEL, OTHER, PAST, PAUSES, QUEUE, World, normalise
from tests.scripts.cutting import in_pieces
from tests.scripts.graph_steps import next_step
from turnstile.turns.api_keys import Limits
from turnstile.turns.errors import TurnRefused
from turnstile.turns.ids import tenant_of
from turnstile.turns.output import called, said
from turnstile.turns.question import Options
from turnstile.turns.redis import scripts
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.acceptance import Submitted
from turnstile.turns.store.budgets import CallEnd, CallLimits, ModelCall
from turnstile.turns.store.runner import Call
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.store.working import Outcome
from turnstile.turns.turn import Claim

STALE_WORKER = "w2"
UNKEPT = "steer unkept"
"""The way of a question that steers, and whose turn stays out of the history."""
MOST_WRITES = 30


class Describing(TurnStore):
    """A store whose operations give the call that they would make."""

    def run(self, call: Call[Any]) -> Any:
        """Return the call, without making it."""
        return call


class Moves:
    """The moves of one scope."""

    def __init__(self, scope: Scope, url: str) -> None:
        self.scope = scope
        # Nothing runs out while the exploration itself takes its time; only moves let it.
        settings = Settings(redis_url=url, max_attempts=scope.attempts, lease_seconds=3_600, dispatch_grace_seconds=3_600)
        # No end is so old, whatever moment stands for it, that a later one pushes it out of the failed.
        settings = settings.model_copy(update={"failed_ttl": 3_000_000_000})
        self.store = Describing(settings)
        in_pieces(self.store, 1 if scope.pieces else scripts._PIECE)
        self.question = cache(self._question)

    def submission(self, world: World, id: str) -> Call[Submitted | TurnRefused]:
        """Return the call that submits a turn, with its answers to the calls of another."""
        return self.question(id, world.around["answers"].get(id, ""), way=world.around["ways"].get(id))

    def of(self, text: str, world: World) -> Iterator[Move]:
        """Yield every move of a state. As long as no script was cut, each call may also be cut after any write."""
        for move in self._whole(text, world):
            if world.was_cut:
                move.fits = anything
            yield move
            if move.call and world.around["left"].get("cut"):
                yield from _cuts(move, move.call)

    def _whole(self, text: str, world: World) -> Iterator[Move]:
        for session in world.sessions:
            yield from self._submit(text, session)
            yield from self._time(text, world, session)
            yield from self._owner(world, session)
            yield from self._mergers(world, session)
            yield from self._cancels(world, session)
            yield from self._rare(text, world, session)
            yield from self._repeats(text, world, session)
        yield from self._dispatches(text, world)
        yield from self._workers(text, world)
        yield from self._sweeps(text, world)
        if self.scope.ticks:
            yield from tick_moves(self, text, world)

    def _question(self, id: str, answered: str = "", asked: str = "", way: str | None = None) -> Call[Submitted | TurnRefused]:
        """Return the call that submits a turn, which may answer that of turn `answered`, with the question of turn `asked`."""
        answers = {_call(answered): "sunny"} if answered else {}
        options = Options(stream=self.scope.streams, answers=answers, store=way != UNKEPT)
        reply = (asked or id)[-1] == "1" and not is_tick(id)
        quotas = Limits(running_turns=self.scope.running).quotas if self.scope.running else ""
        terms: dict[str, Any] = {"reply": reply, "quotas": quotas, "when_busy": "steer" if way == UNKEPT else way}
        asking = self.store.submit(id, session_of(id), question_of(asked or id), options, **terms)
        return refusable(asking)

    def claim(self, id: str, worker: str, nonce: str) -> Call[Claim | str]:
        """Return the call that claims a turn."""
        return cast("Call[Claim | str]", self.store.claim(id, worker, nonce))

    def finish(
        self,
        claim: Claim,
        state: State = State.COMPLETED,
        after: int = 0,
        text: str = "",
        *,
        answered: str = "",
        asks: bool = False,
        kept: bool = True,
    ) -> Call[State | None]:
        """Return the call that ends a turn, which has answered the call of turn `answered`, or asks for something itself.

        `kept`: it goes into the history.
        """
        output = (called(_call(claim.id), "weather", "{}"),) if asks else said(f"answer {claim.id}")
        if state is State.FAILED:
            outcome, messages = Outcome(state, code="chain_error", message="It broke."), []
        else:
            outcome = Outcome(state, output, closing=[f"closed {claim.id}"] if asks else (), stored=kept)
            messages = [*([f"tool {answered}"] if answered else []), *pair(claim.id)] if kept else []
        return cast("Call[State | None]", self.store.finish(claim, outcome, messages, after=after, text=text))

    def _submit(self, text: str, session: str) -> Iterator[Move]:
        world = World.read(text)
        submitted = world.around["submitted"]
        if submitted[session] == self.scope.turns[session]:
            return
        submitted[session] += 1
        id, seat = turn_id(session, submitted[session]), world.seat(session)
        if seat.get("phase") == "held":
            met = World.read(world.text())
            met.around["answers"][id] = seat["held"]
            met.put_first(session, id)
            yield Move(f"answer {seat['held']} by {id}", met, self.submission(met, id), lambda s: s.fresh and s.place == 0)
        else:
            yield from self._ask_by_policy(world, session, id)
        place = len(world.mailbox(session)) + 1 if seat else 0
        world.around["order"][session].append(id)
        yield Move(f"submit {id}", world, self.question(id), accepted_at(place))

    def _ask_by_policy(self, world: World, session: str, id: str) -> Iterator[Move]:
        """Yield the questions that do not only wait behind others."""
        place = len(world.mailbox(session)) + bool(world.seat(session))
        stops = [("interrupt", place), ("rollback", max(0, place - 1))] if self.scope.stops else []
        for way, ahead in [*stops, *([("merge", place)] if self.scope.merges else [])]:
            met = World.read(world.text())
            met.around["ways"][id] = way
            met.around["order"][session].append(id)
            yield Move(f"submit {id} by {way}", met, self.submission(met, id), accepted_at(ahead))
        for way in [*(["steer"] if self.scope.merges and place else []), *([UNKEPT] if self.scope.unkept else [])]:
            yield self._steer(World.read(world.text()), session, id, way)

    def _steer(self, world: World, session: str, id: str, way: str) -> Move:
        """Return the question that goes before those that wait, but for others of its kind, to be part of what runs.

        It waits behind all where one of the two stays out of the history, and the other does not.
        """
        order, waiting, head = world.around["order"][session], world.mailbox(session), world.seat(session).get("head")
        steers = head and (way == UNKEPT) == is_unkept(world, head)
        others = len(list(takewhile(lambda other: steers and world.turn(other).get("busy") == "steer", waiting)))
        behind = others if steers else len(waiting)
        order.insert(order.index(waiting[behind]) if waiting[behind:] else len(order), id)
        world.around["ways"][id] = way
        return Move(f"submit {id} by {way}", world, self.submission(world, id), accepted_at(behind + 1 if head else 0))

    def _repeats(self, text: str, world: World, session: str) -> Iterator[Move]:
        """Yield the repeats of a caller whose call was cut; a turn not accepted may get its old place, or one behind others."""
        for id in world.around["order"][session] if world.was_cut else ():
            met = World.read(text)
            if not met.turn(id):
                met.around["anew"] = True
            yield Move(f"submit {id} again", met, self.submission(met, id))

    def _time(self, text: str, world: World, session: str) -> Iterator[Move]:
        seat, due = world.seat(session), world.due.get(session)
        if not seat:
            if due == FUTURE:  # the script that was to fill the seat was cut
                yield self._pass(text, f"time passes for {session}", session, lease=True)
            return
        on_the_way = seat["phase"] == "dispatched" and seat["head"] in world.queue
        waits = due == FUTURE or seat.get("lease") == FUTURE
        if waits and not (on_the_way and unclaimed(world, seat["head"]) >= self.scope.copies):
            yield self._pass(text, f"time passes for {session}", session, lease=True)
        if self.scope.early and due == FUTURE and seat["phase"] == "running":
            yield self._pass(text, f"{session} is due early", session, lease=False)

    def _pass(self, text: str, label: str, session: str, *, lease: bool) -> Move:
        world = World.read(text)
        world.let_pass(session, lease=lease)
        return Move(label, world, drains=lease)

    def _owner(self, world: World, session: str) -> Iterator[Move]:
        seat = world.seat(session)
        worker = seat.get("worker", "d")
        if worker.startswith("d"):
            return
        id, turn = seat["head"], world.turn(seat["head"])
        claim, sequence = held(id, seat["owner"], session), int(turn.get("sequence", 0))

        def move(label: str, call: Any, fits: Callable[[Any], bool], *, drains: bool = False) -> Move:
            return Move(f"{worker} {label} {id}", world, call, fits, drains)

        last, answered = "text" if self.scope.streams else "", turn.get("answers", "")
        done = self.finish(claim, after=sequence, text=last, answered=answered, kept=not is_unkept(world, id))
        yield move("finishes", done, lambda state: state is State.COMPLETED, drains=True)
        if world.around["left"].get("calls"):
            asking = World.read(world.text())
            asking.around["left"]["calls"] -= 1
            asks = self.finish(claim, after=sequence, text=last, answered=answered, asks=True)
            yield Move(f"{worker} asks for {id}", asking, asks, equals(State.COMPLETED))
        if PAST in (world.due[session], seat["lease"]):
            yield move(
                "renews",
                self.store.renew(worker, [claim]),
                lambda words: words == ["interrupted" if turn.get("busy") == "interrupt" else "kept"],
            )
        if self.scope.fails:
            yield move("fails", self.finish(claim, State.FAILED), lambda state: state is State.FAILED)
        yield from self._calls(world, worker, claim)
        for label, call in self._returns(world, claim, turn):
            yield move(label, call, bool)
        if calls_kept(world, thread_of(world, id)) < self.scope.steps:
            yield self._keep(World.read(world.text()), worker, claim)
        if self.scope.streams and _silent(world, id):
            yield move("emits for", self.store.emit(claim, sequence, ["text"]), lambda at: at == sequence + 1)

    def _calls(self, world: World, worker: str, claim: Claim) -> Iterator[Move]:
        """Yield what may become of a call of the model."""
        if world.around["left"].get("refusal"):
            yield self._refusal(World.read(world.text()), worker, claim)
        if self.scope.tokens:
            # The second of its attempt, so that nobody knows with which call turns begin.
            reserve = cast("Any", self.store.reserve_call(ModelCall(claim, 2, MODEL, 1), CallLimits(tokens=1)))
            yield Move(f"{worker} reserves a call for {claim.id}", world, reserve, reserved(world, claim))

    def _returns(self, world: World, claim: Claim, turn: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
        """Yield the ways to give a turn back that its owner may take."""
        counted = int(turn["attempts"]) - int(turn["forgiven"])
        if self.scope.delays and counted < self.scope.attempts:
            yield "puts off", self.store.requeue(claim, 5)
        if int(turn["forgiven"]) >= self.scope.forgiven:
            return
        if world.pauses(tenant_of(claim.session)):
            yield "waits for the model with", self.store.requeue(claim, forgive=True, waits_for=MODEL, tokens=1)
            if self.scope.falls_back:
                either: dict[str, Any] = {"waits_for": MODEL, "tokens": 1, "others": (OTHER,)}
                yield "waits for either model with", self.store.requeue(claim, forgive=True, **either)
        elif self.scope.tokens:
            yield "has no room for", self.store.requeue(claim, 5, forgive=True, code="no_room")
        elif not (self.scope.paused or "refusal" in self.scope.rare):
            yield "gives back", self.store.requeue(claim, 0, forgive=True)

    def _refusal(self, world: World, worker: str, claim: Claim) -> Move:
        """Return the refusal of a call by the model's server, which asks for patience."""
        world.around["left"]["refusal"] -= 1
        call = self.store.settle_call(ModelCall(claim, 1, MODEL, 1), CallEnd("limited", pause=3_600))
        return Move(f"{worker} is refused a call for {claim.id}", world, cast("Any", call), lambda seconds: seconds > 0)

    def _keep(self, world: World, worker: str, claim: Claim) -> Move:
        thread = thread_of(world, claim.id)
        call = next_step(self.store, claim, thread, calls_kept(world, thread))
        if not world.was_cut:
            note_step(world, claim.id, claim.token)
        return Move(f"{worker} keeps a step of {claim.id}", world, call)

    def _mergers(self, world: World, session: str) -> Iterator[Move]:
        seat = world.seat(session)
        turn = world.turn(seat.get("head", ""))
        steered = any(world.turn(id).get("busy") == "steer" for id in world.mailbox(session)[:1])
        if "worker" in seat and "busy" in turn and ("members" not in turn or steered):
            claim = held(seat["head"], seat["owner"], session)
            yield Move(f"{seat['worker']} merges for {claim.id}", world, cast("Any", self.store.merge(claim)), is_there)

    def _cancels(self, world: World, session: str) -> Iterator[Move]:
        if self.scope.cancels:
            members = [id for id in world.around["order"][session] if "merged" in world.turn(id)]
            for id in [*filter(None, [world.seat(session).get("head")]), *world.mailbox(session), *members]:
                # The script that was to write it was cut, or its calls are open.
                if not world.turn(id) or State(world.turn(id)["state"]).ended:
                    continue
                yield Move(f"cancel {id}", world, cast("Any", self.store.cancel(id)), equals(State.CANCELLED))

    def _rare(self, text: str, world: World, session: str) -> Iterator[Move]:
        left = world.around["left"]
        if left.get("stop") and world.turn(head := world.seat(session).get("head", "")):
            yield self._stop(World.read(text), head)
        if left.get("retry"):
            for id in world.around["order"][session]:
                turn = world.turn(id)
                open_still = world.seat(session).get("held") if world.seat(session).get("phase") == "held" else None
                if turn.get("state") == "failed" and turn.get("answers") in (None, open_still):
                    yield self._retry(World.read(text), session, id)
        if world.seat(session).get("phase") == "held":
            yield Move(f"release {session}", world, cast("Any", self.store.release_session(session)), equals(True))
        if left.get("erase") and world.around["order"][session]:
            yield self.erase(World.read(text), session)

    def _stop(self, world: World, head: str) -> Move:
        world.around["left"]["stop"] -= 1
        turn = world.turn(head)
        state = State(turn["state"])
        stands = state if state.ended or int(turn["attempts"]) else State.CANCELLED
        return Move(f"stop {head}", world, cast("Any", self.store.cancel(head, keep=True)), equals(stands))

    def _retry(self, world: World, session: str, id: str) -> Move:
        world.around["left"]["retry"] -= 1
        world.around["order"][session].remove(id)
        if world.turn(id).get("answers"):
            world.put_first(session, id)
        else:
            world.around["order"][session].append(id)
        return Move(f"retry {id}", world, cast("Any", self.store.retry(id)), equals(State.QUEUED))

    def erase(self, world: World, session: str) -> Move:
        """Return the erasure of a session."""
        if session in world.around.get("noted", {}):
            world.around["noted"][session] = "erased"
        world.around["left"]["erase"] -= 1
        ids = world.around["order"][session]
        world.around["erased"].update({id: int(world.turn(id)["attempts"]) for id in ids})
        world.around["order"][session] = []
        gone = (len(ids), len(world.history(session)))
        return Move(f"erase {session}", world, cast("Any", self.store.erase(session)), lambda counts: counts == gone)

    def _dispatches(self, text: str, world: World) -> Iterator[Move]:
        heads = {seat["head"] for s in world.sessions if (seat := world.seat(s)) and seat["phase"] == "dispatched"}
        for id in dict.fromkeys(world.queue):
            fresh = id in heads
            yield from self._deliver(text, world, id, fresh=fresh)
            if fresh and unclaimed(world, id) < self.scope.copies:
                lost = World.read(text)
                take(lost, id)
                yield Move(f"dispatch of {id} is lost", lost)
            if fresh and self.scope.doubles and world.queue.count(id) < self.scope.copies:
                doubled = World.read(text)
                doubled.put(QUEUE, "list", [*doubled.queue, id])
                yield Move(f"dispatch of {id} is doubled", doubled)

    def _deliver(self, text: str, world: World, id: str, *, fresh: bool) -> Iterator[Move]:
        turn = world.turn(id)
        for worker in _candidates(world, self.scope.workers) if fresh else [STALE_WORKER]:
            met = World.read(text)
            take(met, id)
            # Nobody else can have made up the owner's nonce.
            nonce = id if fresh else "other"
            fits = claimed(world, id) if fresh else equals("stale" if turn else "unknown")
            yield Move(f"{worker} claims {id}", met, self.claim(id, worker, nonce), fits, drains=True)

    def _workers(self, text: str, world: World) -> Iterator[Move]:
        living = {w for s in world.sessions if (w := world.seat(s).get("worker", "d")).startswith("w")}
        for worker in sorted(living) if self.scope.crashes else ():
            crashed = World.read(text)
            name = f"d{1 + len(crashed.value(KEYS.workers, {})) + sum(w.startswith('d') for w in crashed.owned())}x"
            crashed.rename({worker: name})
            crashed.put(KEYS.workers, "hash", {**crashed.value(KEYS.workers, {}), name: "{}"})
            crashed.put(KEYS.heard, "zset", {**crashed.value(KEYS.heard, {}), name: AWHILE})
            yield Move(f"{worker} crashes", crashed)
        for worker in sorted(living & world.owned().keys()) if self.scope.deaf else ():
            met = World.read(text)
            met.rename({worker: "x"})
            met.put(KEYS.workers, "hash", {**met.value(KEYS.workers, {}), "x": "{}"})
            met.put(KEYS.heard, "zset", {**met.value(KEYS.heard, {}), "x": AWHILE})
            yield Move(f"{worker} is cut off for a moment", met, cast("Any", self.store.reap("w1")), is_count)

    def _sweeps(self, text: str, world: World) -> Iterator[Move]:
        overdue = sum(moment == PAST for moment in world.due.values())
        if overdue or world.waits_beside_room or world.was_set_back:
            # After a clock was set back, the sweep looks at entries that are due by the other clock, too.
            seen = len(world.due) if world.was_set_back else overdue
            yield Move("sweep", world, cast("Any", self.store.sweep()), swept(seen), drains=True)
        budget = world.value(KEYS.budget(MODEL), {})
        for pause in budget.keys() & set(PAUSES):
            over = World.read(text)
            over.put(KEYS.budget(MODEL), "hash", {name: value for name, value in budget.items() if name != pause})
            yield Move("the pause is over" if pause == "paused" else "the pause of one tenant is over", over, drains=True)
        if "tokens_spent" in budget:
            over = World.read(text)
            over.put(KEYS.budget(MODEL), "hash", {name: value for name, value in budget.items() if name != "tokens_spent"})
            over.put(KEYS.promised(MODEL), "zset", {})
            yield Move("tokens are there again", over, drains=True)
        if world.around["left"].get("clock"):
            back = World.read(text)
            back.around["left"]["clock"] -= 1
            back.set_back()
            yield Move("the clock is set back", back)
        if world.value(KEYS.erasures, None):
            yield Move("erased turns are swept", world, cast("Any", self.store.sweep_erased()), anything, drains=True)
        if world.value(KEYS.workers, None):
            yield Move("reap", world, cast("Any", self.store.reap("w1")), is_count, drains=True)
        if world.around["left"].get("outage") and "called" not in world.stats:
            silent = World.read(text)
            silent.around["left"]["outage"] -= 1
            silent.data[KEYS.stats][1]["called"] = PAST
            yield Move("nobody calls for long", silent)


def turn_id(session: str, number: int) -> str:
    """Return the id of one of a session's turns."""
    return f"{session.replace('/', '-')}{number}"


def is_unkept(world: World, id: str) -> bool:
    """Return whether a turn stays out of the history."""
    return bool(world.around["ways"].get(id) == UNKEPT)


def session_of(id: str) -> str:
    """Return the session that a turn was asked in."""
    return id[:-1].rstrip("-").replace("-", "/")


def is_tick(id: str) -> bool:
    """Return whether a turn was asked by a schedule."""
    return id[-2:-1] == "-"


def question_of(id: str) -> str:
    """Return the question of a turn: the ticks of a schedule have the same."""
    return f"question {id[:-2] if is_tick(id) else id}"


def _cuts(move: Move, call: Call[Any]) -> Iterator[Move]:
    for writes in range(MOST_WRITES):
        met = World.read(move.world.text())
        met.around["left"]["cut"] -= 1
        met.around["kept"] = {}
        cut = Call(cut_name(call.name, writes), call.args, call.read)
        yield Move(f"{move.label}, cut after {writes} writes", met, cut, anything)


def _call(id: str) -> str:
    return f"call {id}"


def cut_name(script: str, writes: int) -> str:
    """Return the name of a script that is cut."""
    return f"{script}, cut after {writes}"


def pair(id: str) -> list[str]:
    """Return the two stored messages of a turn."""
    return [f"human {id}", f"ai {id}"]


def held(id: str, token: str, session: str) -> Claim:
    """Return the claim of a worker that holds this token."""
    return Claim(id, session, token, int(token.partition(":")[0]), 0, 0, "", Options(), False, 0, 0, 0, ())


def take(world: World, id: str) -> None:
    """Take one dispatch of a turn from the queue."""
    queue = world.queue
    queue.remove(id)
    world.put(QUEUE, "list", queue)


def unclaimed(world: World, id: str) -> int:
    """Dispatches of a turn that no claim has answered."""
    turn = world.turn(id)
    return int(turn.get("dispatches", 0)) - int(turn.get("attempts", 0))


def tidy(move: Move) -> str:
    """Return the next state of a move without a call."""
    normalise(move.world)
    return move.world.text()


def _silent(world: World, id: str) -> bool:
    attempt = world.turn(id)["attempts"]
    events = [dict(zip(flat[::2], flat[1::2], strict=True)) for _, flat in world.value(KEYS.events(id), ())]
    return not any(event["type"] == "text" and event["attempt"] == attempt for event in events)


def _candidates(world: World, workers: int) -> list[str]:
    """Return the live workers at work, and one that is not, if there is one: they are all alike."""
    known = [w for s in world.sessions if (w := world.seat(s).get("worker", "d")).startswith("w")]
    return [f"w{number}" for number in range(1, min(workers, len(set(known)) + 1) + 1)]
