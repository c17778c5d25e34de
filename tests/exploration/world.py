"""One state: all that the server holds and what goes on around it, in a form in which equal states are equal texts.

Moments become phases (past or still to come), dispatch numbers become ranks, workers are named in the order in which
sessions name them, counters that only grow are left out. Names of live workers begin with `w`, of dead ones with `d`.
"""

import json
from dataclasses import dataclass
from typing import Any, Self

from turnstile.turns.counters import totals
from turnstile.turns.redis.keys import Keys
from turnstile.turns.store.budgets import CallLimits, OtherBudget

KEYS = Keys()
PAST, FUTURE, AWHILE, ALL = "1", "9000000000000", "awhile", "all of them"
QUEUE = "chat"
MODEL = "gpt@1"
"""A model that may be paused."""
PAUSES = ("paused", "own_paused")
"""Fields of a model's budget: until when it pauses for everybody, and for the one tenant that was refused."""
_BUDGET = (*PAUSES, "tenant", "window", "own_window", "tokens", "tokens_spent")
OTHER = OtherBudget("other@1", CallLimits())
"""A model without limits."""

_MOMENTS = ("created", "started", "finished")
_ANSWERING = (None, "queued", "running", "failed")  # without a record as long as a script that was cut short is to write it
_COUNTED = ("since", "reaped", "first_text", "fenced", "waits_since", "others_from", "sent_for")
"""Fields that only tell what is counted."""
_SPENT = ("day", "turns", "tokens", "cost", "spent_until", "spent_at")
"""Fields that count what a tenant has used: attempts that are superseded as well."""
_KEPT = (
    *("accepted", "completed", "failed", "cancelled", "standing", "slots", "tenants"),
    *(f"{name}:{QUEUE}" for name in ("sent", "passed", "lined", "served")),
)
# Before every place that the scripts give.
_FIRST = -(2**51)


def schedule_of(session: str) -> str:
    """Return the id of a session's schedule."""
    return session.replace("/", "-")


def tick_id(session: str, tick: int) -> str:
    """Return the id of the turn that is asked at a tick."""
    return f"{schedule_of(session)}-{tick}"


@dataclass(slots=True)
class World:
    """A state. `data` is key → [kind, value, whether it expires].

    `around` is what the server does not know: `order` (session → turns as they come to run), `erased` (turn → attempts it had),
    `answers` (turn → the turn whose calls it answers), `ways` (turn → its policy), `kept` (thread → the steps
    that were kept, and are of use), and how many of each rare event may still come.
    """

    data: dict[str, list[Any]]
    around: dict[str, Any]

    @classmethod
    def read(cls, text: str) -> Self:
        """Return the world that `text` was written from."""
        return cls(*json.loads(text))

    def text(self) -> str:
        """Return a text that is the same for equal worlds."""
        return json.dumps([self.data, self.around], sort_keys=True, separators=(",", ":"))

    def value(self, key: str, default: Any) -> Any:
        """Return the value of a key."""
        return self.data[key][1] if key in self.data else default

    @property
    def sessions(self) -> list[str]:
        """Every session of the scope."""
        return list(self.around["order"])

    @property
    def was_cut(self) -> bool:
        """True when a script was cut short on the way here."""
        return bool(self.around["left"].get("cut") == 0)

    def seat(self, session: str) -> dict[str, str]:
        """Return a session's own record; empty when it is idle."""
        return dict(self.value(KEYS.session(session), {}))

    def mailbox(self, session: str) -> list[str]:
        """Return the waiting turns, oldest first."""
        return list(self.value(KEYS.mailbox(session), ()))

    def history(self, session: str) -> list[str]:
        """Stored messages, oldest first."""
        return list(reversed(self.value(KEYS.history(session), ())))

    def turn(self, id: str) -> dict[str, str]:
        """Return a turn's record."""
        return dict(self.value(KEYS.turn(id), {}))

    def steps(self, thread: str) -> dict[str, str]:
        """Return what is stored of a thread's steps."""
        return dict(self.value(KEYS.steps(thread), {}))

    def goes_on(self, thread: str) -> bool:
        """True while somebody may go on with a thread: its turn, a retry of that, or answers to its open calls."""
        turn = self.turn(thread)
        begun = turn.get("state") in ("queued", "running", "failed") and "answers" not in turn
        return begun or any(self._asks(self.seat(session), thread) for session in self.sessions)

    def _asks(self, seat: dict[str, str], thread: str) -> bool:
        answering = seat.get("phase") != "closing" and self.turn(seat.get("head", "")).get("state") in _ANSWERING
        return seat.get("thread") == thread and (seat["phase"] == "held" or answering)

    def turns(self) -> dict[str, dict[str, str]]:
        """Return all turns that have a record."""
        start = KEYS.turn()
        return {key.removeprefix(start): entry[1] for key, entry in self.data.items() if key.startswith(start)}

    def owned(self) -> dict[str, list[str]]:
        """Worker → the sessions that stand in its set."""
        start = KEYS.owned()
        return {key.removeprefix(start): entry[1] for key, entry in self.data.items() if key.startswith(start)}

    def lines(self) -> dict[str, dict[str, str]]:
        """Tenant → its ready sessions, with their places."""
        start = KEYS.ready(f"{QUEUE}:")
        return {key.removeprefix(start): entry[1] for key, entry in self.data.items() if key.startswith(start)}

    def slots(self) -> dict[str, list[str]]:
        """Tenant → its sessions that have a slot."""
        start = KEYS.slots()
        return {key.removeprefix(start): entry[1] for key, entry in self.data.items() if key.startswith(start)}

    @property
    def tenants(self) -> set[str]:
        """Every tenant of the scope, by name."""
        return {session.rpartition("/")[0] for session in self.sessions} - {""}

    @property
    def is_single(self) -> bool:
        """True where one worker has a single slot."""
        return self.stats.get("slots") == "1"

    @property
    def waits_beside_room(self) -> bool:
        """True when sessions are ready although more dispatches may stand on the queue: some were lost."""
        standing = 0 if self.is_single and self.owned() else int(self.stats.get("standing", 8))
        beside = bool(self.value(KEYS.rotation(QUEUE), {})) and len(self.queue) < standing
        return beside or any(not self.pauses(tenant) for tenant in self.waiting())

    def waiting(self) -> dict[str, dict[str, str]]:
        """Tenant → its sessions that wait for the model, with their places."""
        start = KEYS.ready(f"{QUEUE}@{MODEL}:")
        return {key.removeprefix(start): entry[1] for key, entry in self.data.items() if key.startswith(start)}

    @property
    def paused(self) -> bool:
        """True while the model pauses for anybody."""
        return bool(self.value(KEYS.budget(MODEL), {}).keys() & set(PAUSES))

    def pauses(self, tenant: str) -> bool:
        """Return whether the model pauses for a tenant, or has no tokens."""
        budget = self.value(KEYS.budget(MODEL), {})
        return bool(budget.keys() & {"paused", "tokens_spent"}) or ("own_paused" in budget and budget["tenant"] == tenant)

    @property
    def was_set_back(self) -> bool:
        """True when the clock has been set back, and no worker has called since."""
        return self.stats.get("called") == FUTURE

    @property
    def due(self) -> dict[str, str]:
        """Session → moment of its second look."""
        return dict(self.value(KEYS.due, {}))

    @property
    def queue(self) -> list[str]:
        """The turns whose dispatches stand in the queue, sorted: any may be the next."""
        return list(self.value(QUEUE, ()))

    def put_first(self, session: str, id: str) -> None:
        """Let a turn come before all of its session that have not ended, wherever it stood."""
        order = [other for other in self.around["order"][session] if other != id]
        living = (place for place, other in enumerate(order) if self.turn(other).get("state") in ("queued", "running"))
        order.insert(next(living, len(order)), id)
        self.around["order"][session] = order

    @property
    def stats(self) -> dict[str, str]:
        """The counters."""
        return dict(self.value(KEYS.stats, {}))

    def part(self, session: str) -> object:
        """Return the data of one session."""
        ids = self.around["order"][session]
        keys = [KEYS.session(session), KEYS.mailbox(session), KEYS.turns(session), KEYS.history(session)]
        keys += [KEYS.answered(session), KEYS.schedule(schedule_of(session))]
        keys += [make(id) for id in ids for make in (KEYS.turn, KEYS.events, KEYS.celery_result, KEYS.steps)]
        known = [self.around["erased"], self.around.get("noted"), *(self.around["kept"].get(id) for id in ids)]
        return [session, ids, self.due.get(session), known, *(sorted_entry(self.data.get(key)) for key in keys)]

    def put(self, key: str, kind: str, value: Any) -> None:
        """Let a key hold a value, or be gone when that is empty."""
        if value:
            self.data[key] = [kind, value, self.data[key][2] if key in self.data else False]
        else:
            self.data.pop(key, None)

    def let_pass(self, session: str, *, lease: bool) -> None:
        """Make the session overdue; with `lease`, let its lease run out too."""
        self.data[KEYS.due][1][session] = PAST
        seat = self.value(KEYS.session(session), {})
        if lease and "lease" in seat:
            seat["lease"] = PAST
        self.data[KEYS.stats][1].pop("patience", None)

    def set_back(self) -> None:
        """Set the clock back: nothing is due any more, and whoever called last did so in the future."""
        for key in (KEYS.due, KEYS.schedules_due):
            if key in self.data:
                self.data[key][1] = dict.fromkeys(self.data[key][1], FUTURE)
        for session in self.sessions:
            seat = self.value(KEYS.session(session), {})
            if "lease" in seat:
                seat["lease"] = FUTURE
        self.data[KEYS.stats][1]["called"] = FUTURE

    def rename(self, names: dict[str, str]) -> None:
        """Call workers otherwise, wherever they are named."""
        for session in self.sessions:
            seat = self.value(KEYS.session(session), {})
            if seat.get("worker") in names:
                seat["worker"] = names[seat["worker"]]
        owned = {name: self.data.pop(KEYS.owned(name)) for name in list(self.owned())}
        for name, entry in owned.items():
            self.data[KEYS.owned(names.get(name, name))] = entry
        for key, kind in ((KEYS.workers, "hash"), (KEYS.heard, "zset")):
            self.put(key, kind, {names.get(name, name): value for name, value in self.value(key, {}).items()})


def sorted_entry(entry: list[Any] | None) -> object:
    """Return a value that is the same for equal entries."""
    return [sorted(entry[1].items()) if isinstance(entry[1], dict) else entry[1], entry[2]] if entry else None


def settle(found: str | bytes, around: dict[str, Any]) -> World:
    """Return the world after a call, from what `dump.lua` found."""
    now, data = json.loads(found)
    world = World(data, around)
    _forget_moments(world, int(now))
    normalise(world)
    return world


def _forget_moments(world: World, now: int) -> None:
    data = world.data
    for session in world.sessions:
        seat = world.value(KEYS.session(session), {})
        if "lease" in seat:
            seat["lease"] = _phase(seat["lease"], now)
        for name in _COUNTED:
            seat.pop(name, None)
        _all(data, KEYS.turns(session), FUTURE)
    for id in world.turns():
        turn = data[KEYS.turn(id)][1]
        turn.update({name: PAST for name in _MOMENTS if name in turn})
        turn.update({name: "1" for name in ("wants",) if name in turn})
        for name in _COUNTED:
            turn.pop(name, None)
    if KEYS.due in data:
        data[KEYS.due][1] = {session: _phase(moment, now) for session, moment in world.due.items()}
    _forget_in_registers(world)
    _forget_in_schedules(world, now)
    _forget_in_budget(world, now)
    stats = world.stats
    counts = totals({name: int(count) for name, count in stats.items()})
    kept = {name: str(counts[name]) for name in _KEPT if name in counts}
    if _phase(stats.get("patience", PAST), now) == FUTURE:
        kept["patience"] = FUTURE
    if "budgeted" in stats:
        kept["budgeted"] = FUTURE
    if stats.get("called") in (PAST, FUTURE):
        kept["called"] = stats["called"]
    world.put(KEYS.stats, "hash", kept)


def _forget_in_registers(world: World) -> None:
    data = world.data
    _all(data, KEYS.failed, FUTURE)
    _all(data, KEYS.open, FUTURE)
    _all(data, KEYS.held, FUTURE)
    _all(data, KEYS.tenants, FUTURE)
    for tenant in world.tenants:
        _all(data, KEYS.open_turns(tenant), FUTURE)
        limits = {name: value for name, value in world.value(KEYS.tenant(tenant), {}).items() if name not in _SPENT}
        world.put(KEYS.tenant(tenant), "hash", limits)
    for number in world.value(KEYS.erasures, {}):
        _all(data, KEYS.erased(number), FUTURE)
    _all(data, KEYS.erasures, FUTURE)
    _all(data, KEYS.heard, AWHILE)
    _all(data, KEYS.budgets, PAST)
    data.pop(KEYS.looks, None)
    # A slot that is not taken is none any more, sooner or later; one for tokens is kept as long as these are spent.
    if "tokens" in world.value(KEYS.budget(MODEL), {}):
        _all(data, KEYS.promised(MODEL), AWHILE)
    else:
        data.pop(KEYS.promised(MODEL), None)
    data.pop(KEYS.coming(MODEL), None)
    data.pop(KEYS.calls(MODEL), None)


def _forget_in_schedules(world: World, now: int) -> None:
    if KEYS.schedules_due in world.data:
        due = world.value(KEYS.schedules_due, {})
        world.data[KEYS.schedules_due][1] = {entry: _phase(moment, now) for entry, moment in due.items()}
    for session in world.around.get("noted", {}):
        record = world.value(KEYS.schedule(schedule_of(session)), {})
        record.update({name: PAST for name in ("created", "noted") if name in record})


def _forget_in_budget(world: World, now: int) -> None:
    """A pause stands, or is over; strikes only make the next one longer. All tokens are spent, or none."""
    budget = {name: value for name, value in world.value(KEYS.budget(MODEL), {}).items() if name in _BUDGET}
    for name in PAUSES:
        if name in budget:
            budget[name] = _phase(budget[name], now)
    if (tokens := budget.pop("tokens", None)) is not None:
        spent = float(budget.pop("tokens_spent", 0)) > now
        budget |= {"tokens": tokens} | ({"tokens_spent": ALL} if spent else {})
    world.put(KEYS.budget(MODEL), "hash", {name: value for name, value in budget.items() if value != PAST or name == "tokens"})


def _phase(moment: str, now: int) -> str:
    return FUTURE if float(moment) > now else PAST


def _all(data: dict[str, list[Any]], key: str, moment: str) -> None:
    if key in data:
        data[key][1] = dict.fromkeys(data[key][1], moment)


def normalise(world: World) -> None:
    """Make equal what no script and no rule can tell apart."""
    kept = {thread: steps for thread, steps in world.around["kept"].items() if world.goes_on(thread)}
    world.around = {**world.around, "kept": kept}
    world.put(QUEUE, "list", sorted(world.queue))
    for name in world.owned():
        world.data[KEYS.owned(name)][1].sort()
    for tenant in world.slots():
        world.data[KEYS.slots(tenant)][1].sort()
    _rank_dispatches(world)
    _rank_lines(world)
    _name_workers(world)


def _rank_dispatches(world: World) -> None:
    """Only how far each dispatched head stands from the newest claim matters."""
    seats = {session: seat for session in world.sessions if (seat := world.data.get(KEYS.session(session), [0, {}])[1])}
    stats = world.data[KEYS.stats][1]
    passed = int(stats.get(f"passed:{QUEUE}", 0))
    ahead = sorted({int(s["sent"]) for s in seats.values() if s["phase"] == "dispatched" and int(s["sent"]) > passed})
    for seat in seats.values():
        known = seat["phase"] == "dispatched" and int(seat["sent"]) in ahead
        seat["sent"] = str(ahead.index(int(seat["sent"])) + 1 if known else 0)
    stats[f"passed:{QUEUE}"] = "0"
    stats[f"sent:{QUEUE}"] = str(len(ahead))
    heads = {seat["head"] for seat in seats.values()}
    for id, turn in world.turns().items():
        if "dispatches" in turn and id not in heads:
            turn["dispatches"] = turn["attempts"]


def _rank_lines(world: World) -> None:
    """Only the order within a line matters, and how far tenants are ahead of the time that was served last."""
    stats = world.data[KEYS.stats][1]
    _rank_places(world.lines())
    longest = max(map(len, world.lines().values()), default=0)
    rotation, served = world.value(KEYS.rotation(QUEUE), {}), float(stats.pop(f"served:{QUEUE}", 0))
    for times in (rotation, world.value(KEYS.parked(QUEUE), {})):
        times.update({tenant: str(int(float(time) - served)) for tenant, time in times.items()})
    stats.pop(f"lined:{QUEUE}", None)
    if longest:
        stats[f"lined:{QUEUE}"] = str(longest)
    # At a model the tenant that is first tells the time.
    _rank_places(world.waiting())
    at_model = world.value(KEYS.rotation(f"{QUEUE}@{MODEL}"), {})
    first = min(map(float, at_model.values()), default=0)
    at_model.update({tenant: str(int(float(time) - first)) for tenant, time in at_model.items()})


def _rank_places(lines: dict[str, dict[str, str]]) -> None:
    for places in lines.values():
        order = sorted(places, key=lambda session: (float(places[session]), session))
        places.update({s: str(rank + (_FIRST if float(places[s]) < 0 else 0)) for rank, s in enumerate(order, 1)})


def _name_workers(world: World) -> None:
    owned = world.owned()
    seated = [worker for session in world.sessions if (worker := world.seat(session).get("worker"))]
    known = list(dict.fromkeys([*seated, *sorted(owned, key=lambda name: (owned[name], name))]))
    living = [name for name in known if not name.startswith("d")]
    dead = [name for name in known if name.startswith("d")]
    names = {name: f"w{place}" for place, name in enumerate(living, 1)} | {
        name: f"d{place}" for place, name in enumerate(dead, 1)
    }
    registered = {name: "{}" for name in world.value(KEYS.workers, {}) if name in dead}
    world.put(KEYS.workers, "hash", registered)
    world.put(KEYS.heard, "zset", {name: AWHILE for name in world.value(KEYS.heard, {}) if name in dead})
    world.rename(names)
