"""The items of a conversation's history."""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from turnstile.memory.element import Element, read
from turnstile.producers.gateway.content import refusal, shown_item, shown_role
from turnstile.producers.gateway.edge.api_errors import missing
from turnstile.producers.gateway.paging import Item, listed
from turnstile.producers.gateway.records import input_id, output_id, turn_part
from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.turns.text import dumps

_CHUNK = 500
_FOREIGN = re.compile(r"msg_x(\d{1,9})_([0-9a-f]{16})")


class History:
    """The items of a session's history. Places count from 0, the oldest message's, so that new messages change none."""

    def __init__(self, store: AsyncTurnStore, session: str) -> None:
        self._store = store
        self._session = session

    async def page(self, after: str | None, limit: int, order: str) -> dict[str, Any]:
        """Return a page of items. Raises ApiError if no item has the id `after`."""
        size = await self._store.count_messages(self._session)
        step = 1 if order == "asc" else -1
        place = 0 if order == "asc" else size - 1
        if after is not None:
            place = (await self.find(after, "after"))[0] + step
        found: list[Item] = []
        while 0 <= place < size and len(found) < limit:
            end = place + step * (limit - len(found) - 1)
            low, high = max(0, min(place, end)), min(size - 1, max(place, end))
            elements = await self._store.messages(self._session, low, high)
            items = [item for place_, element in _placed(elements, high) if (item := _item(element, place_))]
            found += items if order == "desc" else items[::-1]
            place = high + 1 if order == "asc" else low - 1
        return listed(found, 0 <= place < size)

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
                if foreign and _digest(element) == foreign[2] and (item := _item(element, place)):
                    return place, item, element
                if token in element and (item := _item(element, place)) and item["id"] == id:
                    return place, item, element
            high = low - 1
        raise missing(param, "Item", id)


def _placed(elements: Sequence[bytes], high: int) -> Iterator[tuple[int, bytes]]:
    """Yield elements, newest first, with their places; `high` is the first one's."""
    for offset, element in enumerate(elements):
        yield high - offset, element


def _item(stored: bytes, place: int) -> Item | None:
    """Return the item in an element, or None when it holds no message."""
    element = read(stored)
    if not element:
        return None
    said = [refusal(element.content)] if element.refused and isinstance(element.content, str) else element.content
    try:
        id, role = _id(element, stored, place), shown_role(element)
        # Not every number that Python reads is JSON.
        whole: Item = json.loads(dumps(shown_item(id, role, said)), parse_constant=lambda _: None)
        return whole
    except (ValueError, TypeError, RecursionError):
        return None


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
