"""The server's own log of writes, read back: who held which turn when, and whether every commit was its owner's.

An append-only file holds each script's writes as one transaction, in the order in which they happened, across restarts. It
knows nothing of what the code believed; so what it says of leases and commits is evidence.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import hiredis

from turnstile.turns.redis.keys import Keys

_CHUNK = 1 << 20

Command = Sequence[str]
Fields = dict[str, str]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One claim of a turn. Times are ms of the server's clock; `ended` is None when the log does not tell it.

    `how` it ended: `finished`, `returned`, `taken` (lease over), `cancelled`, or empty while it lasts.
    """

    session: str
    turn: str
    token: str
    worker: str
    claimed: int
    ended: int | None = None
    how: str = ""


def is_at(attempt: Attempt, pid: int) -> bool:
    """Return whether an attempt is this process's."""
    return attempt.worker.split("-")[-2] == str(pid)


@dataclass(slots=True)
class Journal:
    """The log, read: every attempt in order, and each violation, in words."""

    attempts: list[Attempt] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    crowds: dict[str, int] = field(default_factory=dict)
    """The most members that each set of slots, and each set of calls of a model, ever had."""


@dataclass(slots=True)
class _Facts:
    """The writes of one transaction, as far as they matter for leases."""

    states: dict[str, Fields] = field(default_factory=dict)
    called: int | None = None


def read(folder: Path, lease_seconds: float, keys: Keys | None = None) -> Journal:
    """Read the log of a server that ran without rewriting it, and follow every session through it."""
    reading = _Reading(keys or Keys(), round(lease_seconds * 1000))
    for transaction in _transactions(_commands(folder)):
        reading.take(transaction)
    return reading.journal


def _commands(folder: Path) -> Iterator[Command]:
    reader = hiredis.Reader(encoding="utf-8", errors="surrogateescape")
    for path in sorted((folder / "appendonlydir").glob("*.incr.aof"), key=lambda path: int(path.name.split(".")[-3])):
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                reader.feed(chunk)
                while (command := reader.gets()) is not False:
                    yield command


def _transactions(commands: Iterator[Command]) -> Iterator[list[Command]]:
    within: list[Command] | None = None
    for command in commands:
        name = command[0].upper()
        if name == "MULTI":
            within = []
        elif name == "EXEC" and within is not None:
            yield within
            within = None
        elif within is not None:
            within.append(command)
        else:
            yield [command]


class _Reading:
    def __init__(self, keys: Keys, lease_ms: int) -> None:
        self.journal = Journal()
        self._keys, self._lease = keys, lease_ms
        self._seats: dict[str, Fields] = {}
        self._open: dict[str, int] = {}
        self._closed: dict[str, str] = {}
        self._returned: dict[str, str] = {}
        self._cancelled: set[str] = set()
        self._members: dict[str, set[str]] = {}

    def take(self, transaction: list[Command]) -> None:
        """Check one transaction's writes, then apply them."""
        facts = self._gather(transaction)
        for command in transaction:
            if len(command) > 1:
                self._apply(command[0].upper(), command[1], command[2:], facts)

    def _gather(self, transaction: list[Command]) -> _Facts:
        facts = _Facts()
        for command in transaction:
            if command[0].upper() != "HSET":
                continue
            values = _pairs(command[2:])
            if command[1] == self._keys.stats and "called" in values:
                facts.called = int(values["called"])
            elif command[1].startswith(self._keys.turn()):
                self._note(facts, command[1].removeprefix(self._keys.turn()), values)
        return facts

    def _note(self, facts: _Facts, turn: str, values: Fields) -> None:
        if "closed" in values:
            # What was cut short is completed in a later transaction.
            self._closed[turn] = values["closed"]
        if "returned" in values:
            self._returned[turn] = values["returned"]
        if values.get("state") == "cancelled":
            self._cancelled.add(turn)
        facts.states.setdefault(turn, {}).update(values)

    def _apply(self, name: str, key: str, args: Sequence[str], facts: _Facts) -> None:
        session = key.removeprefix(self._keys.session())
        if key.startswith((self._keys.slots(), self._keys.calls())):
            self._crowd(name, key, args)
        elif name in ("LPUSH", "RPUSH") and key.startswith(self._keys.history()):
            self._check_commit(key.removeprefix(self._keys.history()), args)
        elif session == key:
            return
        elif name == "HSET":
            self._sit(session, _pairs(args))
        elif name in ("DEL", "UNLINK"):
            self._leave(session, facts)
            self._seats.pop(session, None)
        elif name == "HDEL" and "owner" in args:
            self._leave(session, facts)
            for field_name in args:
                self._seats.get(session, {}).pop(field_name, None)

    def _crowd(self, name: str, key: str, args: Sequence[str]) -> None:
        members = self._members.setdefault(key, set())
        if name in ("SADD", "ZADD"):
            members |= set(args) if name == "SADD" else set(args[1::2])
            self.journal.crowds[key] = max(self.journal.crowds.get(key, 0), len(members))
        elif name in ("SREM", "ZREM"):
            members -= set(args)
        elif name in ("DEL", "UNLINK"):
            members.clear()

    def _sit(self, session: str, values: Fields) -> None:
        seat = self._seats.setdefault(session, {})
        if "owner" in values:
            if "owner" in seat:
                self._say(session, seat, f"was claimed by {values['owner']} while {seat['owner']} held it")
            seat.update(values)
            claimed = int(values["lease"]) - self._lease
            self._open[session] = len(self.journal.attempts)
            attempt = Attempt(session, seat.get("head", ""), values["owner"], values["worker"], claimed)
            self.journal.attempts.append(attempt)
        seat.update(values)

    def _leave(self, session: str, facts: _Facts) -> None:
        seat = self._seats.get(session, {})
        if "owner" not in seat:
            return
        index = self._open.pop(session)
        attempt = self.journal.attempts[index]
        ended = int(facts.states.get(attempt.turn, {}).get("finished", 0)) or facts.called
        how = self._manner(session, seat, attempt.turn, facts)
        self.journal.attempts[index] = replace(attempt, ended=ended, how=how)

    def _manner(self, session: str, seat: Fields, turn: str, facts: _Facts) -> str:
        token = seat["owner"]
        if self._closed.get(turn) == token:
            return "finished"
        if self._returned.get(turn) == token:
            return "returned"
        if turn in self._cancelled:
            return "cancelled"
        if facts.called is None or facts.called < int(seat["lease"]):
            self._say(session, seat, f"was taken from {token} at {facts.called}, its lease valid until {seat['lease']}")
        return "taken"

    def _check_commit(self, session: str, elements: Sequence[str]) -> None:
        seat = self._seats.get(session, {})
        for element in elements:
            turn = str(json.loads(element)["turnstile"]["turn"])
            token = self._closed.get(turn)
            # Open calls that nobody has answered are closed when their turn has ended.
            closing = seat.get("phase") == "closing"
            if token is None or turn != seat.get("head") or not (closing or token == seat.get("owner")):
                self._say(session, seat, f"got messages of {turn} from {token or 'nobody'}")

    def _say(self, session: str, seat: Fields, what: str) -> None:
        self.journal.violations.append(f"session {session} (turn {seat.get('head')}) {what}")


def _pairs(args: Sequence[str]) -> Fields:
    return dict(zip(args[::2], args[1::2], strict=True))
