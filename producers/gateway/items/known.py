"""Items of a conversation, to tell those that a request sends again from new ones."""

from collections.abc import Collection
from dataclasses import dataclass, field

from turnstile.memory.element import read
from turnstile.producers.gateway.items.given import Given, Kind
from turnstile.producers.gateway.items.history import History
from turnstile.producers.gateway.items.ids import turn_part

_MOST_MESSAGES = 2_000
"""Of a conversation, that are looked through for items which a request repeats."""


@dataclass(slots=True)
class Known:
    """Contents of a conversation: the names in its items' ids, calls with the turns that made them, calls that are answered.

    A turn brings all its items at once, and a response may show them under other ids: their turn's name tells all of them.
    """

    names: set[str] = field(default_factory=set)
    calls: dict[str, str] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)

    def has(self, one: Given) -> bool:
        """Return True for an item that is a repeat. Answers are told by the calls that are open."""
        return _name(one.id) in self.names or (one.kind is Kind.CALL and one.call in self.calls)


def _name(id: str) -> str:
    return turn_part(id) or id


async def look_up(history: History, given: Collection[Given], last: str | None = None) -> Known:
    """Return what a conversation knows of some items; `last`: up to the end of this turn, if the conversation has it."""
    search = _Search({name for one in given for name in (_name(one.id), _call(one)) if name}, last)
    if search.wanted:
        await history.look_back(search.see, _MOST_MESSAGES)
    return search.known


def _call(one: Given) -> str:
    return "" if one.kind is Kind.DECISION else one.call


class _Search:
    """A search for ids of items and of calls."""

    def __init__(self, wanted: Collection[str], last: str | None) -> None:
        self.known = Known()
        self.wanted = wanted
        self._missing = set(wanted)
        self._last = last

    def see(self, element: bytes, items: list[dict[str, str]]) -> bool:
        """Note the items of an element; True when all that is wanted is found."""
        stored = read(element)
        turn = stored.turn if stored else None
        if self._last is not None and turn == self._last:
            self.known, self._missing, self._last = Known(), set(self.wanted), None
        for item in items:
            self._missing -= _note(self.known, item, turn or "")
        return self._last is None and not self._missing


def _note(known: Known, item: dict[str, str], turn: str) -> set[str]:
    """Note an item, and return what may be looked for by it."""
    found = {_name(item["id"])}
    known.names |= found
    if item["type"] == Kind.CALL:
        known.calls.setdefault(item["call_id"], turn)
        found.add(item["call_id"])
    elif item["type"] == Kind.OUTPUT:
        known.answered.add(item["call_id"])
    return found
