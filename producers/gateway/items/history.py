"""The items of a conversation's history."""

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any
from weakref import WeakValueDictionary

from turnstile.memory.element import MARK, Element, read
from turnstile.producers.gateway.edge.api_errors import missing
from turnstile.producers.gateway.edge.caller import RESPONSE
from turnstile.producers.gateway.edge.loop_time import LongWork
from turnstile.producers.gateway.items.ids import MOST_ID, input_id, kin, names_of, output_id, turn_part
from turnstile.producers.gateway.items.runs import NO_RUNS, Runs
from turnstile.producers.gateway.items.shown import (
    refusal,
    shown_call,
    shown_message,
    shown_output,
    shown_reasoning,
    shown_role,
    shown_run,
)
from turnstile.producers.gateway.paging import Item, listed
from turnstile.turns.ids import tenant_of
from turnstile.turns.output import MOST_OPEN_CALLS
from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.turns.text import dumps

_CHUNK = 500
_CHUNK_BYTES = 8_388_608
"""Of the messages that are read at a time, and of a page."""
_MARK_BYTES = 1_024
_MARK = re.compile(rf'"{MARK}": ?({{[^{{}}]*}})}}$'.encode())
_NO_JSON = re.compile("NaN|Infinity")
_BETWEEN = 2 * MOST_OPEN_CALLS
"""Messages between a call and its output, at most: calls that are made at once stand together, as do their outputs."""
_FOREIGN = re.compile(r"(?:msg|fc|fco|rs|mcp)_x(\d{1,9})_([0-9a-f]{16})(?:_c[0-9a-f]{8})?")


_searches: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()


def search_lock(tenant: str) -> asyncio.Lock:
    """Return the lock of a tenant's long searches in this process: one at a time."""
    return _searches.setdefault(tenant, asyncio.Lock())


class History:
    """The items of a session's history. Places count from 0, the oldest message's, so that new messages change none."""

    def __init__(self, store: AsyncTurnStore, session: str) -> None:
        self._store = store
        self._session = session

    async def page(self, after: str | None, limit: int, order: str) -> dict[str, Any]:
        """Return a page of items; large ones make it shorter. Raises ApiError if no item has the id `after`."""
        step, last = 1 if order == "asc" else -1, None
        place = 0 if step > 0 else await self._store.count_messages(self._session) - 1
        if after is not None:
            place, last, _ = await self.find(after, "after")
        # A page may have 8 MB: reading many at once would keep other tenants waiting.
        async with self._alone():
            return await self._page(place, step, limit, last)

    async def _page(self, place: int, step: int, limit: int, last: Item | None) -> dict[str, Any]:
        """Return the items from a place on, behind `last`."""
        found: list[Item] = []
        left = _CHUNK_BYTES
        async for size, items in self._walk(place, step, limit + 1):
            for item in items:
                if last is not None:
                    last = None if item["id"] == last["id"] else last
                elif len(found) == limit or left <= 0:
                    return listed(found, has_more=True)
                else:
                    found.append(item)
            left -= size if found else 0
        return listed(found, has_more=False)

    async def _walk(self, place: int, step: int, count: int) -> AsyncIterator[tuple[int, list[Item]]]:
        """Yield the items of each message from a place on, and its size; at most `count` messages are read at a time."""
        work = LongWork()
        while place >= 0 and (elements := await self._read(place, step, count)):
            found = await _all_read(elements, work)
            runs = await self._runs(found)
            for at, element in elements:
                await work.pause()
                items = _items(element, at, found.get(at), runs)
                yield len(element), items if step > 0 else items[::-1]
            place = elements[-1][0] + step

    async def find(self, id: str, param: str = "item_id") -> tuple[int, Item, bytes]:
        """Return an item's place, the item, and its stored element. Raises ApiError if no item has this id.

        It reads back through the history, for one caller of a tenant at a time.
        """
        if len(id) > MOST_ID:
            raise missing(param, "Item", id)
        foreign = _FOREIGN.fullmatch(id)
        high = await self._store.count_messages(self._session) - 1
        if foreign:
            high = min(high, int(foreign[1]))
        wanted = _Wanted(id, foreign)
        found = None
        async with self._alone():
            while not found and high >= 0:
                found, high = await self._look(wanted, high)
        if not found:
            raise missing(param, "Item", id)
        return found

    async def look_back(self, see: Callable[[bytes, list[Item]], bool], most: int) -> None:
        """Show each stored element with its items, the newest first and at most `most`, until `see` returns True.

        It is for one caller of a tenant at a time, as `find`.
        """
        high = await self._store.count_messages(self._session) - 1
        async with self._alone():
            for _ in range(0, most, _CHUNK):
                high = await self._show(see, high) if high >= 0 else high

    async def _show(self, see: Callable[[bytes, list[Item]], bool], high: int) -> int:
        """Show a piece of the history from a place back, and return the place to go on at; -1 when it is over."""
        elements, work = await self._read(high, -1, _CHUNK), LongWork()
        for place, element in elements:
            await work.pause()
            if see(element, _items(element, place, read(element))):
                return -1
        return elements[-1][0] - 1 if elements else -1

    def _alone(self) -> asyncio.Lock:
        return search_lock(tenant_of(self._session))

    async def _look(self, wanted: "_Wanted", high: int) -> tuple[tuple[int, Item, bytes] | None, int]:
        """Return the item if it is among the messages from a place back, and the place to go on at."""
        elements, work = await self._read(high, -1, _CHUNK), LongWork()
        runs: Runs | None = None
        for place, element in elements:
            await work.pause()
            if wanted.may_be_in(element) and (found := read(element)):
                if found.calls or found.answers is not None:
                    # Once: a turn may have thousands of calls.
                    runs = runs or await self._runs(await _all_read(elements, work))
                for item in _items(element, place, found, runs or NO_RUNS):
                    if wanted.is_id(item["id"]):
                        return (place, item, element), -1
        return None, elements[-1][0] - 1 if elements else -1

    async def _runs(self, elements: Mapping[int, Element]) -> Runs:
        """Return the calls that workers ran in a stretch; where it has one half of a call, the neighbours are read, too."""
        runs, around = Runs(elements), list[tuple[int, bytes]]()
        if runs.lacks_calls and min(elements) > 0:
            around += await self._read(min(elements) - 1, -1, _BETWEEN)
        if runs.lacks_outputs:
            around += await self._read(max(elements) + 1, 1, _BETWEEN)
        return Runs({**elements, **{at: found for at, one in around if (found := read(one))}}) if around else runs

    async def _read(self, place: int, step: int, count: int) -> list[tuple[int, bytes]]:
        """Return stored elements from a place on, in steps of 1 or -1, with their places."""
        elements = await self._store.read_messages(self._session, place, step, count, _CHUNK_BYTES)
        return [(place + step * n, element) for n, element in enumerate(elements)]


async def _all_read(elements: Sequence[tuple[int, bytes]], work: LongWork) -> dict[int, Element]:
    """Return the messages in a stretch, by their places."""
    found: dict[int, Element] = {}
    for place, element in elements:
        await work.pause()
        if one := read(element):
            found[place] = one
    return found


class _Wanted:
    """An item that is looked for, by its id. Its turn's or its own name is in its message's mark, which ends the message."""

    def __init__(self, id: str, foreign: re.Match[str] | None) -> None:
        self._id = _without_place(id)
        self._digest = foreign and foreign[2]
        turn = turn_part(id) or id
        self._word = turn.encode()
        self._turns, self._items = (turn, RESPONSE + turn), (turn, f"msg_{turn}", id)

    def may_be_in(self, element: bytes) -> bool:
        """Return False where the element need not be read."""
        return self._is_marked(element) or bool(self._digest and self._digest == _digest(element))

    def _is_marked(self, element: bytes) -> bool:
        end = max(0, len(element) - _MARK_BYTES)
        found = _MARK.search(element, end) if element.find(self._word, end) >= 0 else None
        try:
            mark = json.loads(found[1]) if found else {}
        except ValueError:
            return False
        return mark.get("turn") in self._turns or mark.get("item") in self._items

    def is_id(self, id: str) -> bool:
        """Return True for the id that is wanted, whatever place it tells of."""
        return self._id in names_of(_without_place(id))


def _without_place(id: str) -> str:
    """Return an item's id without the place of a message from elsewhere, which changes when an older one is deleted."""
    found = _FOREIGN.fullmatch(id)
    return f"{id[: found.start(1)]}{id[found.end(1) :]}" if found else id


def _items(stored: bytes, place: int, element: Element | None, runs: Runs = NO_RUNS) -> list[Item]:
    """Return the items in an element, in order; none when it holds no message."""
    if not element:
        return []
    try:
        items = items_of(element, _id(element, stored, place), place, runs)
        text = dumps(items)
        # Not every number that Python reads is JSON.
        whole: list[Item] = json.loads(text, parse_constant=lambda _: None) if _NO_JSON.search(text) else items
        return whole
    except (ValueError, TypeError, RecursionError):
        return []


def items_of(element: Element, id: str, place: int = 0, runs: Runs = NO_RUNS) -> list[Item]:
    """Return the items in a history's element, in order; `id` is that of its message."""
    if element.answers is not None:
        if run := runs.of_output(place, element):
            return [shown_run(kin(id, "mcp", element.answers), run)]
        return [shown_output(kin(id, "fco", element.answers), element.answers, element.content)]
    made = element.calls
    calls = [shown_call(kin(id, "fc", one["call_id"]), one) for one in made if runs.is_clients(place, one["call_id"])]
    waiting = [one for one in made if runs.is_open(place, one["call_id"])]
    calls += [shown_run(kin(id, "mcp", one["call_id"]), one, "in_progress") for one in waiting]
    refused = element.refused and isinstance(element.content, str)
    said = shown_message(id, shown_role(element), [refusal(str(element.content))] if refused else element.content)
    thoughts = [shown_reasoning(kin(id, "rs"), element.reasoning)] if element.reasoning else []
    return [*thoughts, *([] if made and not _speaks(said) else [said]), *calls]


def _speaks(item: Item) -> bool:
    return any(part.get("text") or part["type"] != "output_text" for part in item["content"])


def _id(element: Element, stored: bytes, place: int) -> str:
    if element.item is not None:
        return element.item
    if element.turn is None:
        return f"msg_x{place}_{_digest(stored)}"
    if element.attempt is not None or (element.place is None and element.role == "assistant"):
        return output_id(element.turn, element.attempt or 1)
    return input_id(element.turn, element.place or 0)


def _digest(element: bytes) -> str:
    return hashlib.sha256(element).hexdigest()[:16]
