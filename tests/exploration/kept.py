"""The kept steps of graphs, and the rules that hold for them.

`around["kept"]` has, for each thread, how many calls have kept something, and which messages were known at first.
"""

from collections.abc import Iterator

from tests.exploration.world import KEYS, World
from tests.scripts.graph_steps import GRAPH, after_calls, knower
from turnstile.turns.store.steps import StoredCheckpoint

_CHECKPOINT = 5
"""The fields of a checkpoint: its body, the names of its two values, these values, and that it is the latest."""
_WRITES = 2
"""The fields of what a task wrote: one value, and the list of such values."""


def thread_of(world: World, id: str) -> str:
    """Return the thread that a turn goes on with."""
    return world.turn(id).get("thread", id)


def note_step(world: World, id: str, token: str) -> None:
    """Let a thread have one step more, kept by a turn."""
    kept = world.around["kept"].setdefault(thread_of(world, id), {"calls": 0, "known": {}})
    kept["calls"] += 1
    kept["known"].setdefault(knower(id, world.turn(id)), f"known by {token}")


def found_by(world: World, id: str) -> StoredCheckpoint | None:
    """Return what an attempt at a turn is to find."""
    kept = world.around["kept"].get(thread_of(world, id))
    return after_calls(kept["calls"], kept["known"].get(knower(id, world.turn(id)), "")) if kept else None


def calls_kept(world: World, thread: str) -> int:
    """Return how many calls have kept something, as what is stored tells."""
    steps = world.steps(thread)
    latest = int(steps.get(f"latest\x1f{GRAPH}", 0))
    return 2 * latest - 1 + bool(steps.get(f"writes\x1f{GRAPH}\x1f{latest}")) if latest else 0


def wrong_steps(world: World) -> Iterator[str]:
    """Kept steps are there, and nothing else, as long as somebody may go on with it; and it expires."""
    kept = world.around["kept"]
    if set(_threads(world)) != kept.keys():
        yield f"steps of {_threads(world)} are there, {list(kept)} were kept"
        return
    for thread, steps in kept.items():
        found, fields = world.steps(thread), _CHECKPOINT + _WRITES * (steps["calls"] % 2 == 0) + len(steps["known"])
        fields += thread in steps["known"]  # the run that answers go on with
        if (calls_kept(world, thread), len(found)) != (steps["calls"], fields) or not _expires(world, thread):
            yield f"{thread}: {found} of {steps}, expires {_expires(world, thread)}"


def steps_after_a_cut(world: World) -> Iterator[str]:
    """The latest step is whole; and once nothing is due, there are none but those that a retry may want, for a limited time."""
    for thread in _threads(world):
        if not _is_whole(world.steps(thread)):
            yield f"{thread}: its latest step is there in part: {world.steps(thread)}"
        if not world.due and not (world.goes_on(thread) and _expires(world, thread)):
            yield f"{thread}: nothing is due, and steps are left for good"


def steps_lost(label: str, before: World, after: World) -> Iterator[str]:
    """Nothing takes a step away that somebody may go on with, and one that was kept is there."""
    for thread in _threads(before):
        if after.goes_on(thread) and calls_kept(after, thread) < calls_kept(before, thread):
            yield f"{thread}: steps were lost"
    whose = label.partition(" keeps a step of ")[2]
    counts = [sum(calls_kept(world, thread) for thread in _threads(world)) for world in (before, after)]
    if before.turn(whose).get("state") == "running" and counts[0] == counts[1]:
        yield f"{whose}: a step that was kept is not there"


def _threads(world: World) -> list[str]:
    start = KEYS.steps()
    return [key.removeprefix(start) for key in world.data if key.startswith(start)]


def _expires(world: World, thread: str) -> bool:
    return bool(world.data[KEYS.steps(thread)][2])


def _is_whole(steps: dict[str, str]) -> bool:
    latest = steps.get(f"latest\x1f{GRAPH}")
    values = (f"value\x1f{GRAPH}\x1fmessages\x1f{latest}", f"value\x1f{GRAPH}\x1ftopic\x1f1")
    return latest is None or steps.keys() >= {f"checkpoint\x1f{GRAPH}\x1f{latest}", *values}
