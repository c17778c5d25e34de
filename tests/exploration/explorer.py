"""The search: breadth first through every state that the scripts can reach within a scope."""

import json
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import blake2b
from importlib.resources import files
from itertools import islice
from time import monotonic
from typing import Any, Self

import redis

from tests.exploration.echoes import Echo, Echoes
from tests.exploration.move import Move
from tests.exploration.moves import MOST_WRITES, Moves, cut_name, tidy
from tests.exploration.rules import step_violations, violations
from tests.exploration.scope import Scope
from tests.exploration.world import KEYS, World, settle
from tests.scripts.cutting import CUT, cut_after
from turnstile.turns.redis.scripts import Script
from turnstile.turns.store.runner import Call

_AT_ONCE = 24


class Violation(AssertionError):
    """A rule is broken; the message tells which, and the shortest way there."""


@dataclass(frozen=True, slots=True)
class Found:
    """The extent of one exploration. `echoes`: late and repeated calls that were seen to change nothing."""

    scope: Scope
    states: int
    transitions: int
    echoes: int
    depth: int
    seconds: float


class Explorer:
    """Explores one scope on a database that it has to itself."""

    def __init__(self, scope: Scope, url: str) -> None:
        self.scope = scope
        self._moves = Moves(scope, url)
        self._echoing = Echoes(self._moves)
        self._numbers: dict[bytes, int] = {}
        self._parents = array("L")
        self._depths = array("H")
        self._labels: list[str] = []
        self._label_numbers: dict[str, int] = {}
        self._came_by = array("H")
        self._drains = (array("L"), array("L"))
        self._idle = array("L")
        self._frontier: deque[tuple[int, str]] = deque()
        self._transitions = self._echoes = 0
        self._open = ExitStack()
        self._client = self._open.enter_context(redis.Redis.from_url(url))
        self._restore, self._dump = (
            str(self._client.script_load(files("tests.exploration").joinpath(f"{name}.lua").read_text()))
            for name in ("restore", "dump")
        )

    def __enter__(self) -> Self:
        scripts = self._moves.store.scripts
        for script in list(scripts.values()):
            self._client.script_load(script.source)
            for writes in range(MOST_WRITES if self.scope.rare.get("cut") else 0):
                cut = cut_after(script, writes)
                scripts[cut_name(script.name, writes)] = Script(cut.name, cut.source, str(self._client.script_load(cut.source)))
        # Both workers listen to their orders, as long as no move says otherwise.
        listener = self._open.enter_context(self._client.pubsub())
        listener.subscribe(*(KEYS.orders(f"w{number}") for number in (1, 2)))
        for _ in (1, 2):
            listener.get_message(timeout=5)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def explore(self, most: int = 0) -> Found:
        """Go through every state, `most` at most (0: all). Raises Violation."""
        started = monotonic()
        self._reach(self.scope.beginning(), 0, "the beginning")
        while self._frontier and not (most and len(self._parents) >= most):
            chosen = [self._frontier.popleft() for _ in range(min(_AT_ONCE, len(self._frontier)))]
            self._expand(chosen)
        self._assert_all_drain()
        return Found(self.scope, len(self._parents), self._transitions, self._echoes, max(self._depths), monotonic() - started)

    def _expand(self, chosen: list[tuple[int, str]]) -> None:
        calls: list[tuple[int, World, Move]] = []
        pipe = self._client.pipeline(transaction=False)
        for number, text in chosen:
            before = World.read(text)
            for move in self._moves.of(text, before):
                if move.call is None:
                    self._step(number, before, move, World.read(tidy(move)))
                else:
                    calls.append((number, before, move))
                    self._queue(pipe, move.world, [move.call])
        replies = iter(pipe.execute(raise_on_error=False))
        for number, before, move in calls:
            assert move.call is not None
            _, reply, dump = islice(replies, 3)
            if move.world.was_cut and not before.was_cut:
                if CUT not in str(reply):
                    continue  # it makes fewer writes
            else:
                self._judge(number, move.label, move.call, move.fits, reply)
            self._step(number, before, move, settle(dump, move.world.around))
        self._echo(chosen)

    def _queue(self, pipe: Any, world: World, calls: list[Call[Any]]) -> None:
        pipe.evalsha(self._restore, 0, json.dumps(world.data))
        for call in calls:
            pipe.evalsha(self._moves.store.scripts[call.name].sha, 0, *call.args)
        pipe.evalsha(self._dump, 0)

    def _judge(self, number: int, label: str, call: Call[Any], fits: Callable[[Any], bool], reply: Any) -> None:
        if isinstance(reply, Exception):
            raise self._violation(number, label, f"Redis answers {reply}")
        result = call.read(reply)
        if not fits(result):
            raise self._violation(number, label, f"it answers {result}")

    def _step(self, number: int, before: World, move: Move, after: World) -> None:
        self._transitions += 1
        broken = next(step_violations(move.label, before, after), None)
        if broken:
            raise self._violation(number, move.label, broken)
        reached = self._reach(after, number, move.label)
        if move.drains:
            for side, end in zip(self._drains, (number, reached), strict=True):
                side.append(end)

    def _reach(self, world: World, parent: int, label: str) -> int:
        text = world.text()
        mark = blake2b(text.encode(), digest_size=10).digest()
        known = self._numbers.get(mark)
        if known is not None:
            return known
        number = self._numbers[mark] = len(self._parents)
        broken = next(violations(world), None)
        if broken:
            raise self._violation(parent, label, broken)
        self._parents.append(parent)
        self._depths.append(self._depths[parent] + 1 if number else 0)
        self._came_by.append(self._label_numbers.setdefault(label, len(self._label_numbers)))
        self._frontier.append((number, text))
        waits = world.due or world.value(KEYS.schedules_due, {})
        if not waits and not any(world.seat(session) for session in world.sessions):
            self._idle.append(number)
        return number

    def _echo(self, chosen: list[tuple[int, str]]) -> None:
        pipe = self._client.pipeline(transaction=False)
        batches = []
        for number, text in chosen:
            world = World.read(text)
            if not world.was_cut and (batch := self._echoing.new(world)):
                self._queue(pipe, world, [call for _, call, _ in batch])
                batches.append((number, text, batch))
        replies = iter(pipe.execute(raise_on_error=False))
        for number, text, batch in batches:
            next(replies)
            for (label, call, fits), reply in zip(batch, islice(replies, len(batch)), strict=True):
                self._judge(number, label, call, fits, reply)
            self._echoes += len(batch)
            if settle(next(replies), World.read(text).around).text() != text:
                self._find_what_changed(number, text, batch)

    def _find_what_changed(self, number: int, text: str, batch: list[Echo]) -> None:
        world = World.read(text)
        for label, call, _ in batch:
            pipe = self._client.pipeline(transaction=False)
            self._queue(pipe, world, [call])
            after = settle(pipe.execute()[-1], world.around)
            if after.text() != text:
                raise self._violation(number, label, f"it changed {_difference(world, after)}")

    def _assert_all_drain(self) -> None:
        """From every state, what happens by itself leads to a state in which every session is idle."""
        if self._frontier:
            return
        total = len(self._parents)
        into = _grouped(*self._drains, total)
        reached = bytearray(total)
        ahead = list(self._idle)
        for number in ahead:
            reached[number] = 1
        while ahead:
            for source in into(ahead.pop()):
                if not reached[source]:
                    reached[source] = 1
                    ahead.append(source)
        stuck = reached.find(0)
        if stuck >= 0:
            raise self._violation(stuck, "whatever happens by itself", "the sessions never fall idle")

    def _violation(self, number: int, label: str, what: str) -> Violation:
        names = list(self._label_numbers)
        steps = [label]
        while number:
            steps.append(names[self._came_by[number]])
            number = self._parents[number]
        return Violation("\n".join([what, *(f"{place:3}. {step}" for place, step in enumerate(reversed(steps), 1))]))


def _difference(before: World, after: World) -> str:
    keys = before.data.keys() | after.data.keys()
    return ", ".join(
        f"{key}: {before.data.get(key)} → {after.data.get(key)}"
        for key in sorted(keys)
        if before.data.get(key) != after.data.get(key)
    )


def _grouped(sources: "array[int]", targets: "array[int]", total: int) -> Any:
    """For each state, the states that lead to it."""
    starts = array("L", bytes(8 * (total + 1)))
    for target in targets:
        starts[target + 1] += 1
    for number in range(total):
        starts[number + 1] += starts[number]
    places, into = starts[:], array("L", bytes(8 * len(sources)))
    for source, target in zip(sources, targets, strict=True):
        into[places[target]] = source
        places[target] += 1

    def leading_to(number: int) -> Iterator[int]:
        return iter(into[starts[number] : starts[number + 1]])

    return leading_to
