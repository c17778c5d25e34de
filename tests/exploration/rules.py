"""The rules that hold in every state, and in every step from one to the next."""

from collections.abc import Iterator, Sequence
from itertools import permutations

from tests.exploration.kept import steps_after_a_cut, steps_lost, wrong_steps
from tests.exploration.moves import is_unkept, pair, session_of
from tests.exploration.ticks import schedules_after_a_cut, wrong_schedules
from tests.exploration.world import FUTURE, KEYS, MODEL, QUEUE, World, schedule_of
from turnstile.turns.ids import tenant_of
from turnstile.turns.states import TRANSITIONS, State

_SEAT = {
    "dispatched": {"head", "phase", "sent"},
    "ready": {"head", "phase", "sent"},
    "delayed": {"head", "phase", "sent"},
    "running": {"head", "phase", "sent", "owner", "lease", "worker"},
    "held": {"head", "phase", "sent", "lease"},
}
_HOLD = {"held", "calls", "closing", "thread"}


def violations(world: World) -> Iterator[str]:
    """Yield every rule that a state breaks."""
    yield from _members(world)
    if world.was_cut:
        yield from _after_a_cut(world)
        return
    for session in world.sessions:
        yield from _seat(world, session)
        yield from _places(world, session)
        yield from _history(world, session)
    for id, turn in world.turns().items():
        yield from _turn(world, id, turn)
    yield from wrong_steps(world)
    yield from wrong_schedules(world)
    yield from _owned(world)
    yield from _lines(world)
    yield from _slots(world)
    yield from _bytes(world)
    yield from _counters(world)
    yield from _keys(world)


def _members(world: World) -> Iterator[str]:
    """A turn that answers further questions names each of them once."""
    for id, turn in world.turns().items():
        members = turn.get("members", "").split("\x1e")
        if len(members) != len(set(members)):
            yield f"{id}: members {members}"


def _after_a_cut(world: World) -> Iterator[str]:
    """No message is ever there twice; and once nothing is due, all is as if no script had been cut."""
    for session in world.sessions:
        history = world.history(session)
        if len(history) != len(set(history)):
            yield f"{session}: history {history}"
        if world.turn(world.seat(session).get("head", "")).get("state") == "running":
            yield from _open_calls(world, session)
    yield from steps_after_a_cut(world)
    yield from schedules_after_a_cut(world)
    if world.due:
        return
    for session in world.sessions:
        yield from _at_rest(world, session)
    for id, turn in world.turns().items():
        if not State(turn["state"]).ended or turn.keys() & {"owed", "rest"}:
            yield f"{id}: nothing is due, and it is {turn}"
        else:
            yield from _turn(world, id, turn)
    counted = (KEYS.slots, KEYS.open_turns, KEYS.open_bytes)
    if left := [key for make in counted for name in (*world.tenants, "") if (key := make(name)) in world.data]:
        yield f"nothing is due, and there are {left}"
    if world.value(KEYS.open, {}) or world.value(KEYS.held, {}) or world.owned():
        yield f"nothing is due, with {world.value(KEYS.open, {})} open and {world.owned()} held"


def _at_rest(world: World, session: str) -> Iterator[str]:
    completed = _completed(world, session)
    told = world.history(session)
    orders = [completed] if "anew" not in world.around else permutations(completed)
    if told not in (_messages(world, session, order) for order in orders):
        yield f"{session}: history {told}, completed {completed}"
    if world.seat(session) or world.mailbox(session):
        yield f"{session}: nothing is due, with {world.seat(session)} and {world.mailbox(session)}"


def _seat(world: World, session: str) -> Iterator[str]:
    """A session is idle with nothing left of it, or has one head and one due entry."""
    seat = world.seat(session)
    if bool(seat) != (session in world.due):
        yield f"{session}: due entry {session in world.due}, busy {bool(seat)}"
    if not seat:
        if world.mailbox(session):
            yield f"{session}: idle with a mailbox"
        return
    if seat.keys() - _HOLD - {"slot"} != _SEAT.get(seat.get("phase", ""), set()) or seat.keys() & _HOLD not in (set(), _HOLD):
        yield f"{session}: seat {seat}"
        return
    turn = world.turn(seat["head"])
    running, held = seat["phase"] == "running", seat["phase"] == "held"
    if not turn or turn["state"] != ("running" if running else "completed" if held else "queued"):
        yield f"{session}: {seat['phase']} with a turn that is {turn.get('state')}"
    if seat.get("held") != (seat["head"] if held else turn.get("answers")):
        yield f"{session}: {seat}, and its head answers {turn.get('answers')}"
    if (session in world.value(KEYS.held, {})) != held:
        yield f"{session}: {seat['phase']}, among the held {world.value(KEYS.held, {})}"
    if running and turn and seat["owner"].partition(":")[0] != turn["attempts"]:
        yield f"{session}: owner {seat['owner']} after {turn['attempts']} attempts"


def _places(world: World, session: str) -> Iterator[str]:
    """Turns that have not ended stand in the session once each, in the order of acceptance; at most one runs."""
    seat, order = world.seat(session), world.around["order"][session]
    standing = [*([seat["head"]] if seat and seat["phase"] != "held" else []), *world.mailbox(session)]
    turns = {id: world.turn(id) for id in order}
    if not all(turns.values()):
        yield f"{session}: of {order}, some have no record"
        return
    living = [id for id in order if not State(turns[id]["state"]).ended and "merged" not in turns[id]]
    for id in (id for id in order if "merged" in turns[id]):
        yield from _merged(id, turns[id], turns.get(turns[id]["merged"], {}))
        if is_unkept(world, id) != is_unkept(world, turns[id]["merged"]):
            yield f"{id}: merged into {turns[id]['merged']}, and one of them stays out of the history"
    if standing != living:
        yield f"{session}: {standing} stand there, {living} should"
    if sum(turn["state"] == "running" and "merged" not in turn for turn in turns.values()) > 1:
        yield f"{session}: two turns run"
    if set(world.value(KEYS.turns(session), {})) != set(order):
        yield f"{session}: the list of its turns is wrong"


def _history(world: World, session: str) -> Iterator[str]:
    completed = _completed(world, session)
    told = world.history(session)
    if told != _messages(world, session, completed):
        yield f"{session}: history {told}, completed {completed}"
    yield from _open_calls(world, session)


def _completed(world: World, session: str) -> list[str]:
    """Return the turns that have added messages: one that was merged with another has not, nor one that stays out."""
    turns = {id: world.turn(id) for id in world.around["order"][session]}
    added = [id for id, turn in turns.items() if turn.get("state") == "completed" and "merged" not in turn]
    return [id for id in added if not is_unkept(world, id)]


def _merged(id: str, turn: dict[str, str], other: dict[str, str]) -> Iterator[str]:
    """A turn that was merged with another runs until that ends, and ends as it does."""
    if id not in other.get("members", "").split("\x1e"):
        return
    if other.get("state") in ("queued", "running"):
        if turn["state"] != "running":
            yield f"merged into {other}, it is {turn}"
    elif any(turn.get(name) != other.get(name) for name in ("answer", "code", "finished")):
        yield f"merged into {other}, it ended as {turn}"


def _messages(world: World, session: str, completed: Sequence[str]) -> list[str]:
    """The history that these turns make, one after the other."""
    turns = {id: world.turn(id) for id in completed}
    answered = {turn.get("answers") for turn in turns.values()} | {world.seat(session).get("held")}
    told: list[str] = []
    for id, turn in turns.items():
        told += [f"tool {turn['answers']}"] if "answers" in turn else []
        told += [*pair(id), *([f"closed {id}"] if "calls" in turn and id not in answered else [])]
    return told


def _open_calls(world: World, session: str) -> Iterator[str]:
    """No history holds an open call, except for those who answer it, as long as they are to."""
    told, seat = world.history(session), world.seat(session)
    for place, message in enumerate(told):
        kind, _, id = message.partition(" ")
        asks = kind == "ai" and "calls" in world.turn(id)
        open_still = asks and told[place + 1 : place + 2] not in ([f"tool {id}"], [f"closed {id}"])
        if open_still and not (seat.get("held") == id and place == len(told) - 1):
            yield f"{session}: the call of {id} is open in {told}, with {seat}"


def _turn(world: World, id: str, turn: dict[str, str]) -> Iterator[str]:
    """Events have no gap and end once; only a turn that has ended expires, and has a result for a plain Celery app."""
    events = [(entry[0], dict(zip(entry[1][::2], entry[1][1::2], strict=True))) for entry in world.value(KEYS.events(id), ())]
    last, ended = int(turn.get("sequence", 0)), State(turn["state"]).ended
    first = last - len(events) + 1
    if [name for name, _ in events] != [f"{number}-0" for number in range(first, last + 1)]:
        yield f"{id}: events {events} up to {last}"
    ends = [event["data"] for _, event in events if event["type"] == "ended"]
    # A retry that was cut short has taken the events of a failed turn, as time would.
    taken = world.was_cut and turn["state"] == "failed" and not events
    if ends != [turn["state"]] * (ended and not taken) or (ends and events[-1][1]["type"] != "ended"):
        yield f"{id}: {turn['state']}, events {events}"
    if turn["stream"] == "1" and State(turn["state"]) is State.COMPLETED and not _told_whole(events, turn["attempts"]):
        yield f"{id}: its text is not whole: {events}"
    for key in (KEYS.turn(id), KEYS.events(id)):
        if key in world.data and world.data[key][2] != ended:
            yield f"{key}: expires {world.data[key][2]}, ended {ended}"
    if (KEYS.celery_result(id) in world.data) != (ended and turn["reply"] == "1"):
        yield f"{id}: {turn['state']}, result {KEYS.celery_result(id) in world.data}"
    if (id in world.value(KEYS.failed, {})) != (turn["state"] == "failed"):
        yield f"{id}: {turn['state']}, among the failed {id in world.value(KEYS.failed, {})}"


def _told_whole(events: list[tuple[str, dict[str, str]]], attempt: str) -> bool:
    texts = [event["data"] for _, event in events if event["attempt"] == attempt and event["type"] == "text"]
    return texts in (["text"], ["text", "text"])


def _owned(world: World) -> Iterator[str]:
    for worker, sessions in world.owned().items():
        for session in sessions:
            if world.seat(session).get("worker") != worker:
                yield f"{worker} is down for {session}, and does not hold it"


def _lines(world: World) -> Iterator[str]:
    """Each ready session stands in its tenant's line, for a slot or a model, and each tenant with a line is in the rotation."""
    for line, found, model in ((QUEUE, world.lines(), None), (f"{QUEUE}@{MODEL}", world.waiting(), MODEL)):
        ready: dict[str, set[str]] = {}
        for session in world.sessions:
            seat = world.seat(session)
            if seat.get("phase") == "ready" and world.turn(seat["head"]).get("waits_for") == model:
                ready.setdefault(session.rpartition("/")[0], set()).add(session)
        lines = {tenant: set(places) for tenant, places in found.items()}
        rotation, parked = world.value(KEYS.rotation(line), {}), world.value(KEYS.parked(line), {})
        if lines != ready or sorted([*rotation, *parked]) != sorted(ready):
            yield f"{ready} are ready, {lines} stand in lines, {world.value(KEYS.rotation(line), {})} in the rotation"


def _slots(world: World) -> Iterator[str]:
    """Those whose heads are dispatched or run have a slot; their turns, and those that wait, are counted as unfinished."""
    for tenant in world.tenants:
        seats = {name: world.seat(name) for name in world.sessions if name.startswith(f"{tenant}/")}
        having = {name for name, seat in seats.items() if seat.get("phase") in ("dispatched", "running")}
        if (slots := set(world.slots().get(tenant, ()))) != having:
            yield f"{tenant}: {slots} have slots, {having} should"
        most = int(world.value(KEYS.tenant(tenant), {}).get("running", 0))
        if most and len(having) > most:
            yield f"{tenant}: {having} have slots, {most} are allowed"
        if tenant in world.value(KEYS.parked(QUEUE), {}) and len(having) < most:
            yield f"{tenant}: its line is parked, and {having} have slots"
        living = {id for id, turn in world.turns().items() if not State(turn["state"]).ended and turn["session"] in seats}
        if (counted := set(world.value(KEYS.open_turns(tenant), {}))) != living:
            yield f"{tenant}: {counted} counted as unfinished, {living} are"


def _bytes(world: World) -> Iterator[str]:
    """The bytes of each unfinished turn are counted for its tenant, and their sum is true."""
    for tenant in (*world.tenants, ""):
        sizes = dict(world.value(KEYS.open_bytes(tenant), {}))
        living = {
            id for id, turn in world.turns().items() if not State(turn["state"]).ended and tenant_of(turn["session"]) == tenant
        }
        if int(sizes.pop("", 0)) != sum(map(int, sizes.values())) or sizes.keys() != living:
            yield f"{tenant}: bytes counted as {sizes}, {living} are unfinished"


def _counters(world: World) -> Iterator[str]:
    stats, turns = world.stats, world.turns()
    left = {id for id, turn in turns.items() if not State(turn["state"]).ended}
    if (counted := set(world.value(KEYS.open, {}))) != left:
        yield f"{counted} counted as open, {left} are"
    if int(stats.get("accepted", 0)) != sum(world.around["submitted"].values()) + world.around.get("ticked", 0):
        yield f"{stats.get('accepted', 0)} accepted, submitted {world.around['submitted']}"
    if not world.around["erased"]:
        for state in ("completed", "failed", "cancelled"):
            if int(stats.get(state, 0)) != (found := sum(turn["state"] == state for turn in turns.values())):
                yield f"{stats.get(state, 0)} counted as {state}, {found} are"


def _keys(world: World) -> Iterator[str]:
    """Nothing is stored but what keys.py names."""
    sessions, ids = world.sessions, list(world.turns())
    known = {QUEUE, KEYS.due, KEYS.failed, KEYS.open, KEYS.held, KEYS.stats, KEYS.workers, KEYS.heard}
    known |= {make(name) for make in (KEYS.history, KEYS.session, KEYS.mailbox, KEYS.turns, KEYS.answered) for name in sessions}
    known |= {make(id) for make in (KEYS.turn, KEYS.events, KEYS.celery_result) for id in ids}
    known |= {KEYS.steps(thread) for thread in world.around["kept"]}
    known |= {KEYS.rotation(QUEUE), *(KEYS.ready(f"{QUEUE}:{tenant}") for tenant in world.lines())}
    known |= {
        KEYS.budgets,
        KEYS.first_call(" "),
        KEYS.budget(MODEL),
        KEYS.promised(MODEL),
        KEYS.rotation(f"{QUEUE}@{MODEL}"),
        KEYS.looks,
    }
    known |= {KEYS.ready(f"{QUEUE}@{MODEL}:{tenant}") for tenant in world.waiting()}
    known |= {KEYS.owned(worker) for worker in world.owned()}
    known |= {KEYS.tenants, KEYS.parked(QUEUE)}
    known |= {make(tenant) for make in (KEYS.slots, KEYS.open_turns, KEYS.tenant) for tenant in world.tenants}
    known |= {KEYS.open_bytes(tenant) for tenant in (*world.tenants, "")}
    known |= {KEYS.erasures, *(KEYS.erased(number) for number in world.value(KEYS.erasures, {}))}
    if "noted" in world.around:
        known |= {KEYS.schedules_due, *(KEYS.schedule(schedule_of(session)) for session in sessions)}
        known |= {make(tenant) for make in (KEYS.schedules, KEYS.scheduled_bytes) for tenant in (*world.tenants, "")}
    if world.data.keys() - known:
        yield f"unknown keys {sorted(world.data.keys() - known)}"


def step_violations(label: str, before: World, after: World) -> Iterator[str]:
    """Yield every rule that a step breaks."""
    for session in before.sessions:
        old, new = before.history(session), after.history(session)
        if not label.startswith("erase") and new[: len(old)] != old:
            yield f"{session}: its history lost something"
        if label in ("sweep", "reap") and _safe(before, session) and not _same_owner(before, after, session):
            yield f"{session}: the {label} took a turn whose lease was valid"
    yield from steps_lost(label, before, after)
    yield from _pauses(label, before, after)
    yield from _tokens(label, before, after)
    if before.is_single and not after.was_cut:
        yield from _single_slot(before, after)
    for id, turn in before.turns().items():
        now = after.turn(id)
        if now and now["state"] != turn["state"] and not _may_follow(turn["state"], now["state"]):
            yield f"{id}: {turn['state']} → {now['state']}"
        if now and int(now["attempts"]) < int(turn["attempts"]):
            yield f"{id}: attempts were forgotten"
        if not now and not label.startswith("erase"):
            yield f"{id}: its record is gone"


def _pauses(label: str, before: World, after: World) -> Iterator[str]:
    """A refusal pauses the model for its tenant alone, unless that of another lasts; whoever is not meant is not held up."""
    tenants = {session.rpartition("/")[0] for session in before.sessions}
    refused = session_of(label.rpartition(" ")[2]).rpartition("/")[0] if " is refused a call for " in label else None
    if refused is not None:
        shared = any(before.pauses(tenant) for tenant in tenants - {refused})
        paused = {tenant for tenant in tenants if after.pauses(tenant)}
        if paused != (tenants if shared else {refused}):
            yield f"{refused} was refused, and the model pauses for {paused}"
    if label in ("sweep", "reap") and before.was_set_back and after.paused:
        yield "the clock was set back, and the model pauses still"
    free = [tenant for tenant in before.waiting() if not before.pauses(tenant)]
    if label == "sweep" and free and sum(map(len, after.waiting().values())) >= sum(map(len, before.waiting().values())):
        yield f"nothing was sent to the model for {free}"


def _tokens(label: str, before: World, after: World) -> Iterator[str]:
    """Tokens are promised to one turn at a time, which takes them or gives them back; then they are the next one's."""
    promised = after.value(KEYS.promised(MODEL), {})
    budget = after.value(KEYS.budget(MODEL), {})
    if budget.get("tokens", "0") == "0" or after.was_cut:
        return
    if len(promised) > 1 or (promised and "tokens_spent" not in budget):
        yield f"tokens are promised to {sorted(promised)}, with {budget}"
    id = label.rpartition(" ")[2]
    returned = " no room " in label and id in before.value(KEYS.promised(MODEL), {})
    if returned and (id in promised or bool(promised) != ("tokens_spent" in budget) or (after.waiting() and not promised)):
        yield f"{id} has no use for its tokens, which are promised to {sorted(promised)}, with {budget}"


def _single_slot(before: World, after: World) -> Iterator[str]:
    """Nothing is sent to a single slot that is taken; when it falls free, somebody is."""
    sent = {id for session in after.sessions if (id := _dispatched(after, session)) and id != _dispatched(before, session)}
    if after.owned() and sent:
        yield f"{sent} sent to a slot that is taken"
    if _idles(after) and not _idles(before):
        yield "the slot is free, and nobody was sent"


def _dispatched(world: World, session: str) -> str | None:
    seat = world.seat(session)
    return seat["head"] if seat.get("phase") == "dispatched" else None


def _idles(world: World) -> bool:
    """A single slot is free, nothing is on its way there, and somebody waits."""
    comes = world.queue or any(_dispatched(world, session) for session in world.sessions)
    return bool(world.value(KEYS.rotation(QUEUE), {})) and not comes and not world.owned()


def _may_follow(old: str, new: str) -> bool:
    following = TRANSITIONS[State(old)]
    # One sweep may end a turn and start the next, but never moves one turn twice.
    return State(new) in following


def _safe(world: World, session: str) -> bool:
    seat = world.seat(session)
    return seat.get("lease") == FUTURE and not seat["worker"].startswith("d")


def _same_owner(before: World, after: World, session: str) -> bool:
    return all(before.seat(session)[name] == after.seat(session).get(name) for name in ("head", "owner", "lease"))
