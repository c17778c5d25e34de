"""A turn's output as items, in the order in which a stream tells of them.

What is thought and said is told as it comes. Calls follow, in their own order, when the turn has ended.
"""

from typing import Any

from turnstile.producers.gateway.items.ids import kin, output_id
from turnstile.producers.gateway.items.shown import Item, shown_call, shown_request, shown_run
from turnstile.producers.gateway.responses.spoken import spoken_items
from turnstile.turns.turn import Record


def output_items(record: Record) -> list[Item]:
    """Return the items of a record as it is shown; none where the turn has not answered."""
    return [*spoken_items(record), *call_items(record)] if record.state.answered else []


def call_items(record: Record) -> list[Item]:
    """Return the items of calls: those that a client or a person answers, and those that a worker ran."""
    base = output_id(record.id, record.attempts)
    return [item for n, one in enumerate(record.output) if (item := _shown(one, base, n))]


def _shown(item: dict[str, Any], base: str, place: int) -> Item | None:
    match item["type"]:
        case "function_call":
            return shown_call(kin(base, "fc", item["call_id"]), item)
        case "mcp_call":
            return shown_run(kin(base, "mcp", place=place), item)
        case "mcp_approval_request":
            return shown_request(item)
    return None
