"""The items of a conversation's history."""

import hashlib
import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from turnstile.memory.element import Element, read
from turnstile.producers.gateway.content import refusal, shown_item, shown_role
from turnstile.producers.gateway.edge.api_errors import missing
from turnstile.producers.gateway.paging import Item, listed
from turnstile.producers.gateway.records import input_id, output_id, turn_part
from turnstile.turns.output import reasoned
from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.turns.text import dumps

_CHUNK = 500
_FOREIGN = re.compile(r"(?:msg|fc|fco|rs)_x(\d{1,9})_([0-9a-f]{16})(?:_c\d+)?")


class History:
    """The items of a session's history. Places count from 0, the oldest message's, so that new messages change none."""

    def __init__(self, store: AsyncTurnStore, session: str) -> None:
        self._store = store
        self._session = session

    async def page(self, after: str | None, limit: int, order: str) -> dict[str, Any]:
        """Return a page of items. Raises ApiError if no item has the id `after`."""
        high = await self._store.count_messages(self._session) - 1
        start = 0 if order == "asc" else high
        last: Item | None = None
        if after is not None:
            start, last, _ = await self.find(after, "after")
        found: list[Item] = []
        async for item in self._walk(start, high, order, limit + 1):
            if last is not None:
                last = None if item["id"] == last["id"] else last
            elif len(found) == limit:
                return listed(found, has_more=True)
            else:
                found.append(item)
        return listed(found, has_more=False)

    async def _walk(self, place: int, high: int, order: str, step: int) -> AsyncIterator[Item]:
        """Yield the items from a message on, to the newest (`high`) or the oldest one; `step` messages are read at a time."""
        while 0 <= place <= high:
            low, top = (place, min(high, place + step - 1)) if order == "asc" else (max(0, place - step + 1), place)
            elements = await self._store.messages(self._session, low, top)
            items = [item for at, element in _placed(elements, top) for item in reversed(_items(element, at))]
            for item in items[::-1] if order == "asc" else items:
                yield item
            place = top + 1 if order == "asc" else low - 1

    async def find(self, id: str, param: str = "item_id") -> tuple[int, Item, bytes]:
        """Return an item's place, the item, and its stored element. Raises ApiError if no item has this id."""
        foreign = _FOREIGN.fullmatch(id)
        token = (turn_part(id) or id).encode()
        high = await self._store.count_messages(self._session) - 1
        if foreign:
            high = min(high, int(foreign[1]))
        while high >= 0:
            low = max(0, high - _CHUNK + 1)
            for place, element in _placed(await self._store.messages(self._session, low, high), high):
                if token in element or (foreign and _digest(element) == foreign[2]):
                    for item in _items(element, place):
                        if _without_place(item["id"]) == _without_place(id):
                            return place, item, element
            high = low - 1
        raise missing(param, "Item", id)


def _without_place(id: str) -> str:
    """Return an item's id without the place of a message from elsewhere, which changes when an older one is deleted."""
    found = _FOREIGN.fullmatch(id)
    return f"{id[: found.start(1)]}{id[found.end(1) :]}" if found else id


def _placed(elements: Sequence[bytes], high: int) -> Iterator[tuple[int, bytes]]:
    """Yield elements, newest first, with their places; `high` is the first one's."""
    for offset, element in enumerate(elements):
        yield high - offset, element


def _items(stored: bytes, place: int) -> list[Item]:
    """Return the items in an element, in order; none when it holds no message."""
    element = read(stored)
    if not element:
        return []
    try:
        items = _shown(element, _id(element, stored, place))
        # Not every number that Python reads is JSON.
        whole: list[Item] = json.loads(dumps(items), parse_constant=lambda _: None)
        return whole
    except (ValueError, TypeError, RecursionError):
        return []


def _shown(element: Element, id: str) -> list[Item]:
    if element.answers is not None:
        shown = shown_item(id, "user", element.content)["content"]
        output = element.content if isinstance(element.content, str) else shown
        return [_kin(id, "fco", type="function_call_output", call_id=element.answers, output=output, status="completed")]
    calls = [_kin(id, "fc", f"_c{n}", **call, status="completed") for n, call in enumerate(element.calls)]
    refused = element.refused and isinstance(element.content, str)
    said = shown_item(id, shown_role(element), [refusal(str(element.content))] if refused else element.content)
    thoughts = [_kin(id, "rs", **reasoned(element.reasoning), summary=[])] if element.reasoning else []
    return [*thoughts, *([] if calls and not _speaks(said) else [said]), *calls]


def _speaks(item: Item) -> bool:
    return any(part.get("text") or part["type"] != "output_text" for part in item["content"])


def _kin(id: str, prefix: str, ending: str = "", **fields: Any) -> Item:
    """Return an item of the message `id`."""
    return {"id": f"{prefix}_{id.removeprefix('msg_')}{ending}", **fields}


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
