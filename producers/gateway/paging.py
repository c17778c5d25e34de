"""Lists in pages, as the API has them."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Literal

from fastapi import Query

from turnstile.producers.gateway.edge.api_errors import missing

Limit = Annotated[int, Query(ge=1, le=100)]
Order = Annotated[Literal["asc", "desc"], Query()]
Item = dict[str, Any]


def listed(data: Sequence[Item], has_more: bool) -> dict[str, Any]:
    """Return a page of these items."""
    return {
        "object": "list",
        "data": list(data),
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": has_more,
    }


def cut(items: Sequence[Item], after: str | None, limit: int, order: str) -> dict[str, Any]:
    """Return a page of a whole list, which is oldest first. Raises ApiError if no item has the id `after`."""
    ordered = list(items) if order == "asc" else list(items)[::-1]
    start = 0
    if after is not None:
        start = next((n for n, item in enumerate(ordered, 1) if item["id"] == after), 0)
        if not start:
            raise missing("after", "Item", after)
    return listed(ordered[start : start + limit], len(ordered) > start + limit)


async def page_of(
    ids: Sequence[str], find: Callable[[str], Awaitable[Item | None]], after: str | None, limit: int
) -> dict[str, Any]:
    """Return a page of the items that are found among these ids, from the one after `after` on. Raises ApiError."""
    if after is not None and after not in ids:
        raise missing("after", "Item", after)
    found: list[Item] = []
    for id in ids[ids.index(after) + 1 if after is not None else 0 :]:
        item = await find(id)
        if item and len(found) == limit:
            return listed(found, has_more=True)
        if item:
            found.append(item)
    return listed(found, has_more=False)
