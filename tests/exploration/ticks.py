"""Schedules in an exploration, one in each session: how its ticks are taken and asked, and the rules that hold for it.

`around["noted"]` tells of each session that had a schedule what became of that: it is on, all its ticks were asked, it was
removed or erased. `around["taken"]` has the ticks that each worker has taken, by session; all workers are alike.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

from tests.exploration.move import Move
from tests.exploration.results import anything, equals
from tests.exploration.world import FUTURE, KEYS, PAST, World, schedule_of, tick_id
from turnstile.turns.question import Options
from turnstile.turns.schedules import DueTick
from turnstile.turns.store.runner import Call

if TYPE_CHECKING:
    from tests.exploration.moves import Moves

Echo = tuple[str, Call[Any], Callable[[Any], bool]]


def tick_moves(moves: "Moves", text: str, world: World) -> Iterator[Move]:
    """Yield every move of schedules."""
    for session in world.sessions:
        yield from _note(moves, World.read(text), session)
        yield from _pass(World.read(text), session)
        yield from _remove(moves, text, session)
    yield from _take(moves, World.read(text))
    for place, taken in enumerate(world.around["taken"]):
        for session in taken:
            yield from _ask(moves, text, place, session)


def _note(moves: "Moves", world: World, session: str) -> Iterator[Move]:
    again = (
        world.was_cut
        and world.around["noted"].get(session) == "on"
        and not world.value(KEYS.schedule(schedule_of(session)), {})
    )
    if session not in world.around["noted"] or again:
        world.around["noted"][session] = "on"
        terms = {"weight": 1, "quotas": "", "when_held": None, "when_busy": None}
        rule: dict[str, Any] = {"tick": 1, "cron": "* * * * *", "zone": "UTC", "missed": "all"}
        name = schedule_of(session)
        call = moves.store._add(name, session, f"question {name}", Options(stream=moves.scope.streams), terms, **rule)
        yield Move(f"schedule {name}", world, cast("Any", call), equals(True))


def _pass(world: World, session: str) -> Iterator[Move]:
    due = world.value(KEYS.schedules_due, {})
    if due.get(entry := _entry(session)) == FUTURE:
        due[entry] = PAST
        yield Move(f"time passes for the schedule of {session}", world, drains=True)


def _remove(moves: "Moves", text: str, session: str) -> Iterator[Move]:
    world, name = World.read(text), schedule_of(session)
    left = world.around["left"]
    if world.around["noted"].get(session) != "on":
        return
    if left.get("remove"):
        left["remove"] -= 1
        world.around["noted"][session] = "removed"
        yield Move(f"remove {name}", world, cast("Any", moves.store.remove_schedule(name)), equals(True))
    if left.get("erase") and not world.around["order"][session]:
        yield moves.erase(World.read(text), session)


def _take(moves: "Moves", world: World) -> Iterator[Move]:
    past = [entry for entry, moment in world.value(KEYS.schedules_due, {}).items() if moment == PAST]
    if not past or len(world.around["taken"]) == moves.scope.workers:
        return
    records = {session: _record(world, session) for session in world.sessions if _entry(session) in past}
    due = {session: int(record["tick"]) for session, record in records.items() if record}
    world.around["taken"] = sorted([*world.around["taken"], *([due] if due else [])], key=str)

    def fits(found: Any) -> bool:
        return {tick.session: tick.tick for tick in found[1]} == due

    yield Move("a worker takes ticks", world, cast("Any", moves.store.claim_schedules()), fits, drains=True)


def _ask(moves: "Moves", text: str, place: int, session: str) -> Iterator[Move]:
    world = World.read(text)
    taken = world.around["taken"]
    tick = taken[place][session]
    if world.around["left"].get("again"):
        met = World.read(text)
        met.around["left"]["again"] -= 1
        yield _asked(moves, met, session, tick, " and hears no answer")
    del taken[place][session]
    world.around["taken"] = sorted(filter(None, taken), key=str)
    forgotten = World.read(world.text())
    yield _asked(moves, world, session, tick)
    yield Move(f"a worker dies before it asks for {tick_id(session, tick)}", forgotten)


def _asked(moves: "Moves", world: World, session: str, tick: int, how: str = "") -> Move:
    id, following = tick_id(session, tick), tick + 1 if tick < moves.scope.ticks else None
    if _record(world, session).get("tick") == str(tick):
        if id not in world.around["order"][session]:
            world.around["order"][session].append(id)
            world.around["ticked"] += 1
        elif not world.turn(id):
            world.around["anew"] = True
        if following is None:
            world.around["noted"][session] = "asked"
    call = moves.store.ask_scheduled(_due(session, tick), following)
    return Move(f"a worker asks for {id}{how}", world, cast("Any", call), equals(""), drains=not how)


def late_ticks(moves: "Moves", world: World, session: str) -> Iterator[Echo]:
    """Yield what comes too late: a tick that was asked, or whose schedule is gone."""
    current = int(_record(world, session).get("tick", moves.scope.ticks + 1))
    for tick in range(1, current) if session in world.around["noted"] else ():
        call = cast("Any", moves.store.ask_scheduled(_due(session, tick), tick + 1))
        yield f"ask for {tick_id(session, tick)} again", call, equals("")
    if session in world.around["noted"] and not _record(world, session):
        yield f"remove {session} again", cast("Any", moves.store.remove_schedule(schedule_of(session))), anything


def wrong_schedules(world: World) -> Iterator[str]:
    """A schedule that is on has its entries, and waits for the tick after those that were asked; nothing is left of another."""
    for session, fate in world.around.get("noted", {}).items():
        record, entries = _record(world, session), _entries(world, session)
        if {bool(record), *entries} != {fate == "on"}:
            yield f"{session}: its schedule is {fate}, with {record} and {entries}"
        asked = sum(id.startswith(f"{schedule_of(session)}-") for id in world.around["order"][session])
        if record and int(record["tick"]) != asked + 1:
            yield f"{session}: its schedule waits for {record['tick']}, and {asked} were asked"


def schedules_after_a_cut(world: World) -> Iterator[str]:
    """Somebody looks at every schedule; when nobody has anything to look at, nothing is left."""
    for session in world.around.get("noted", {}):
        is_due, *others = _entries(world, session)
        if (_record(world, session) or any(others)) and not is_due:
            yield f"{session}: nobody looks at its schedule"


def _due(session: str, tick: int) -> DueTick:
    return DueTick(session, schedule_of(session), tick, "* * * * *", "UTC", "all")


def _entry(session: str) -> str:
    return f"{session} {schedule_of(session)}"


def _record(world: World, session: str) -> dict[str, str]:
    return dict(world.value(KEYS.schedule(schedule_of(session)), {}))


def _entries(world: World, session: str) -> tuple[bool, bool, bool]:
    """Return whether somebody looks at a session's schedule, and whether it is listed, and counted with its bytes."""
    tenant, entry = session.rpartition("/")[0], _entry(session)
    kept = (KEYS.schedules_due, KEYS.schedules(tenant), KEYS.scheduled_bytes(tenant))
    is_due, listed, counted = (entry in world.value(key, {}) for key in kept)
    return is_due, listed, counted
