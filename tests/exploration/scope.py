"""The scope of an exploration: bounds for everything. Without bounds there would be no end."""

from dataclasses import dataclass, field
from typing import Any

from tests.exploration.world import FUTURE, KEYS, MODEL, PAST, World


@dataclass(frozen=True, slots=True)
class Scope:
    """The bounds of one exploration.

    `copies` bounds the dispatches of one turn that are lost, doubled or sent again while another is on its way; crashes,
    expiries and takeovers are bounded by the attempts a turn has. `forgiven`: attempts given back for nothing, a turn.
    `steps`: calls that keep steps of a graph, a thread. `standing`: dispatches that stand on the queue at a time; 0: all.
    `single`: there is one slot. `running`: slots of each tenant; 0: no limit. `paused`: turns wait for a model that pauses;
    `tokens`: for its tokens, of which each call takes a minute's; `falls_back`: or go on with another; `known`: they are
    known to call it before a worker has them. `ticks`: those of a schedule in each session. `unkept`: questions that steer
    may be of turns that stay out of the history.
    The rest says what happens
    beside claim, finish, sweep and expiry; `rare` how often in all.
    """

    name: str
    turns: dict[str, int]
    workers: int = 2
    attempts: int = 2
    copies: int = 2
    forgiven: int = 0
    cancels: bool = False
    stops: bool = False
    merges: bool = False
    unkept: bool = False
    fails: bool = False
    delays: bool = False
    crashes: bool = True
    doubles: bool = True
    deaf: bool = False
    early: bool = False
    streams: bool = False
    pieces: bool = False
    steps: int = 0
    standing: int = 0
    single: bool = False
    running: int = 0
    paused: bool = False
    tokens: bool = False
    known: bool = False
    falls_back: bool = False
    ticks: int = 0
    rare: dict[str, int] = field(default_factory=dict)

    def beginning(self) -> World:
        """Nothing has been asked yet."""
        around: dict[str, Any] = {
            "order": {session: [] for session in self.turns},
            "submitted": dict.fromkeys(self.turns, 0),
            "erased": {},
            "answers": {},
            "ways": {},
            "kept": {},
            "left": dict(self.rare),
        } | ({"noted": {}, "taken": [], "ticked": 0} if self.ticks else {})
        stats = {"passed:chat": "0", "sent:chat": "0"} | ({"standing": str(self.standing)} if self.standing else {})
        stats |= {"slots": "1"} if self.single else {}
        pause = {KEYS.budget(MODEL): ["hash", {"paused": FUTURE}, False], KEYS.budgets: ["zset", {MODEL: PAST}, False]}
        if self.tokens:
            pause[KEYS.budget(MODEL)] = ["hash", {"tokens": "1"}, False]
        if self.known:
            stats["budgeted"] = FUTURE
            pause[KEYS.first_call(" ")] = ["string", f"0 0 {MODEL}=0,0,0", False]
        return World({"turnstile:stats": ["hash", stats, False]} | (pause if self.paused or self.tokens else {}), around)

    def _tenants(self) -> int:
        return len({session.rpartition("/")[0] for session in self.turns})

    def bounds(self) -> tuple[str, str]:
        """Return the bounds, and what may happen, in words."""
        turns = " + ".join(str(count) for count in self.turns.values())
        words = [
            f"{self.workers} worker{'s' * (self.workers > 1)}",
            f"{len(self.turns)} session{'s' * (len(self.turns) > 1)}",
            f"turns: {turns}",
            f"attempts a turn: {self.attempts}" + f" and {self.forgiven} forgiven" * bool(self.forgiven),
            f"dispatches of a turn under way: {self.copies}",
            *([f"dispatches on the queue: {self.standing}", f"{self._tenants()} tenants"] if self.standing else []),
            *(["a single slot"] if self.single else []),
            *([f"slots of a tenant: {self.running}"] if self.running else []),
            *([f"ticks of a schedule: {self.ticks}"] if self.ticks else []),
        ]
        options = {
            "lost dispatch": self.copies > 1,
            "doubled dispatch": self.doubles and self.copies > 1,
            "crash": self.crashes,
            "cancel": self.cancels,
            "interrupt, rollback": self.stops,
            "questions that are merged": self.merges,
            "turns that stay out of the history": self.unkept,
            "failing turns": self.fails,
            "requeue with delay": self.delays,
            "requeue at once": self.forgiven > 0 and not (self.paused or self.tokens),
            "waiting for a model": self.paused,
            "waiting for the tokens of a model": self.tokens,
            "turns that are known to call it": self.known,
            "another model that answers": self.falls_back,
            "false reap": self.deaf,
            "early due entry": self.early,
            "streamed text": self.streams,
            "records of erased turns removed one by one": self.pieces,
            "ticks taken and asked, or lost with their worker": self.ticks > 0,
            f"steps kept (≤ {self.steps} of a thread)": self.steps > 0,
        }
        happens = ["submit, claim, finish, renew, sweep, reap, expiry", *(name for name, there in options.items() if there)]
        return ", ".join(words), ", ".join([*happens, *(f"{name} (≤ {times})" for name, times in self.rare.items())])
