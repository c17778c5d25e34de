"""Calls that come too late or for the second time: in every state, all of them together must change nothing at all."""

from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Any, cast

from tests.exploration.kept import calls_kept, found_by, thread_of
from tests.exploration.moves import STALE_WORKER, Moves, held, session_of, turn_id
from tests.exploration.ticks import late_ticks
from tests.exploration.world import KEYS, World
from tests.scripts.graph_steps import GRAPH, knower, next_step
from turnstile.turns.errors import CallNotAnswered, CallNotOpen
from turnstile.turns.states import State
from turnstile.turns.store.runner import Call
from turnstile.turns.store.steps import Place
from turnstile.turns.turn import Claim

Echo = tuple[str, Call[Any], Callable[[Any], bool]]


class Echoes:
    """The echoes of one scope. Each is heard once in every state of its own session, whatever goes on in the others."""

    def __init__(self, moves: Moves) -> None:
        self._moves = moves
        self._heard: set[bytes] = set()

    def new(self, world: World) -> list[Echo]:
        """Label, call, and whether its result is the right one, of every echo that no earlier state has heard."""
        found: list[Echo] = []
        for session in world.sessions:
            part = blake2b(repr(world.part(session)).encode(), digest_size=10).digest()
            if part not in self._heard:
                self._heard.add(part)
                found += self.of(world, session)
        return found

    def of(self, world: World, session: str) -> Iterator[Echo]:
        """Yield every echo of a session's turns."""
        seat = world.seat(session)
        for id in world.around["order"][session]:
            yield from _of_turn(self._moves, world, id, seat)
        yield from _answers(self._moves, world, session)
        if self._moves.scope.ticks:
            yield from late_ticks(self._moves, world, session)
        for id, attempts in world.around["erased"].items():
            if not world.waits_beside_room:
                yield f"claim {id}", self._moves.claim(id, STALE_WORKER, "other"), lambda word: word in ("unknown", "stale")
            for attempt in range(1, attempts + 1):
                late = held(id, f"{attempt}:{id}", session_of(id))
                yield from _by(self._moves, late, {"state": "erased"})
                yield from _steps_by(self._moves, world, late, id)


def _answers(moves: Moves, world: World, session: str) -> Iterator[Echo]:
    """Answers that nobody waits for, or that were given already."""
    other, seat = turn_id(session, 9), world.seat(session)
    refusal = CallNotAnswered if seat.get("phase") == "held" else CallNotOpen
    yield f"answer nothing in {session}", moves.question(other, "nobody"), lambda found: type(found) is refusal
    _, _, last = world.value(KEYS.answered(session), "").partition(" ")
    if seat.get("phase") != "held" and world.turn(last):
        same = moves.question(other, world.around["answers"][last], last)
        yield f"the answers of {last} again", same, lambda found: found.id == last and not found.fresh


def _of_turn(moves: Moves, world: World, id: str, seat: dict[str, str]) -> Iterator[Echo]:
    turn = world.turn(id)
    owner = seat.get("owner") if seat.get("head") == id else None
    for attempt in range(1, int(turn["attempts"]) + 1):
        token = f"{attempt}:{id}"
        if token != owner:
            late = held(id, token, turn["session"])
            yield from _by(moves, late, turn)
            yield from _steps_by(moves, world, late, thread_of(world, id))
    yield from _reads(moves, world, id)
    yield from _again(moves, world, id, seat, owner)


def _by(moves: Moves, claim: Claim, turn: dict[str, str]) -> Iterator[Echo]:
    """Yield the late calls of a worker that once held a turn."""
    store, who = moves.store, f"{claim.id} by {claim.token}"
    sequence = int(turn.get("sequence", 0))
    stands = State(turn["state"]) if turn.get("closed") == claim.token else None
    returned = turn.get("returned") == claim.token
    word = "cancelled" if turn["state"] == "cancelled" else "lost"
    yield f"finish {who}", moves.finish(claim, after=sequence, text="late"), lambda state: state is stands
    yield f"fail {who}", moves.finish(claim, State.FAILED), lambda state: state is stands
    yield f"requeue {who}", _any(store.requeue(claim, 0, forgive=True)), lambda kept: kept is returned
    yield f"put off {who}", _any(store.requeue(claim, 5)), lambda kept: kept is returned
    yield f"emit {who}", _any(store.emit(claim, sequence, ["late"])), lambda at: at is None
    yield f"renew {who}", _any(store.renew(STALE_WORKER, [claim])), lambda words: words == [word]


def _steps_by(moves: Moves, world: World, claim: Claim, thread: str) -> Iterator[Echo]:
    """Yield the late calls of a worker whose graph went on: the newest step again, the next one, and an end of all."""
    store, who = moves.store, f"{claim.id} by {claim.token}"
    if moves.scope.steps:
        kept = calls_kept(world, thread)
        for calls in range(max(0, kept - 1), kept + 1):
            yield f"step {calls + 1} of {who}", next_step(store, claim, thread, calls), lambda kept: kept is False
        yield f"drop steps of {who}", _any(store.drop_steps(claim, thread, GRAPH)), lambda kept: kept is False
        yield f"ask for {who}", _any(store.owns(claim)), lambda owns: owns is False


def _reads(moves: Moves, world: World, id: str) -> Iterator[Echo]:
    """Yield what the next attempt at a turn reads, whichever that is."""
    if moves.scope.steps:
        thread, expected = thread_of(world, id), found_by(world, id)
        found = moves.store.read_checkpoint(id, Place(thread, GRAPH))
        yield f"steps of {id} are read", _any(found), lambda found: found == expected


def _again(moves: Moves, world: World, id: str, seat: dict[str, str], owner: str | None) -> Iterator[Echo]:
    """Yield the calls that were made before, and those that nobody may make now."""
    turn = world.turn(id)
    state = State(turn["state"])
    yield f"submit {id} again", moves.submission(world, id), lambda found: not found.fresh and found.state is state
    if owner:
        if not world.waits_beside_room:
            same = moves.claim(id, seat["worker"], id)
            yield f"claim {id} again", same, lambda found: isinstance(found, Claim) and found.token == owner
        claim, sequence = held(id, owner, turn["session"]), int(turn.get("sequence", 0))
        yield from _step_again(moves, world, claim)
        yield f"emit {id} again", _any(moves.store.emit(claim, sequence - 1, ["text"])), lambda at: at == sequence
    # Any claim brings out who waits while there is room.
    if not world.waits_beside_room and (owner or seat.get("head") != id or seat["phase"] != "dispatched"):
        yield f"claim {id} beside", moves.claim(id, STALE_WORKER, "other"), lambda word: word == "stale"
    if state.ended:
        yield f"cancel {id} too late", _any(moves.store.cancel(id)), lambda found: found is state
    if state is not State.FAILED:
        yield f"retry {id} without need", _any(moves.store.retry(id)), lambda found: found is state


def _step_again(moves: Moves, world: World, claim: Claim) -> Iterator[Echo]:
    thread = thread_of(world, claim.id)
    kept = world.around["kept"].get(thread)
    if kept and knower(claim.id, world.turn(claim.id)) in kept["known"]:
        again = next_step(moves.store, claim, thread, kept["calls"] - 1)
        yield f"the last step of {claim.id} again", again, lambda done: done is True


def _any(call: Any) -> Call[Any]:
    return cast("Call[Any]", call)
