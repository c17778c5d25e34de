"""The results that calls should have: each function returns a check, or is one."""

from collections.abc import Callable
from typing import Any, cast

from tests.exploration.world import KEYS, MODEL, World
from turnstile.turns.errors import TurnRefused
from turnstile.turns.ids import tenant_of
from turnstile.turns.store.acceptance import Submitted
from turnstile.turns.store.runner import Call
from turnstile.turns.store.upkeep import Swept
from turnstile.turns.turn import Claim


def is_there(found: Any) -> bool:
    return found is not None


def accepted_at(place: int) -> Callable[[Any], bool]:
    return lambda found: found.fresh and found.place == place


def refusable(call: Any) -> Call[Submitted | TurnRefused]:
    """Return the call with its refusal as a result."""

    def read(reply: Any) -> Submitted | TurnRefused:
        try:
            return cast("Submitted", call.read(reply))
        except TurnRefused as refused:
            return refused

    return Call(call.name, call.args, read)


def anything(_: object) -> bool:
    return True


def equals(wanted: object) -> Callable[[Any], bool]:
    return lambda found: bool(found == wanted)


def is_count(found: Any) -> bool:
    return isinstance(found, int)


def reserved(world: World, claim: Claim) -> Callable[[Any], bool]:
    """A call is granted to a turn that was sent for it, or when there are tokens and nobody waits."""
    sent = claim.id in world.value(KEYS.promised(MODEL), {})
    free = not world.pauses(tenant_of(claim.session)) and not world.waiting()
    return lambda slot: bool(slot.granted == (sent or free))


def swept(overdue: int) -> Callable[[Any], bool]:
    return lambda found: isinstance(found, Swept) and found.seen == overdue


def claimed(world: World, id: str) -> Callable[[Any], bool]:
    turn = world.turn(id)
    if not turn:  # the script that was to write it was cut
        return anything
    attempt = int(turn["attempts"]) + 1
    session = turn["session"]
    question = f"question {id[:-2] if id[-2:-1] == '-' else id}"
    window = tuple(element.encode() for element in world.value(KEYS.history(session), ()))

    def fits(found: Any) -> bool:
        return (
            isinstance(found, Claim)
            and (found.session, found.question) == (session, question)
            and (found.token, found.attempt) == (f"{attempt}:{id}", attempt)
            and found.window == window
            and found.thread == turn.get("thread", id)
        )

    return fits
