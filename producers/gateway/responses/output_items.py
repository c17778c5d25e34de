"""A turn's output as items, in the order in which a stream tells of them.

What is thought and said is told as it comes. Calls follow, in their own order, when the turn has ended.
"""

from typing import Any

from turnstile.producers.gateway.items.ids import kin, output_id
from turnstile.producers.gateway.items.shown import Item, shown_call, shown_request, shown_run
from turnstile.producers.gateway.responses.spoken import spoken_items
from turnstile.turns.turn import TurnResult


def output_items(record: TurnResult) -> list[Item]:
    """Return the items of a record as it is shown; none where the turn has not answered."""
    return [*spoken_items(record), *call_items(record)] if record.state.answered else []


def call_items(record: TurnResult) -> list[Item]:
    """Return the items of calls: those that a client or a person answers, and those that a worker ran."""
    seen: set[str] = set()
    return [item for n, one in enumerate(record.output) if (item := _shown(one, record, n, seen))]


def _shown(item: dict[str, Any], record: TurnResult, place: int, seen: set[str]) -> Item | None:
    match item["type"]:
        case "function_call":
            return shown_call(kin(output_id(record.id, record.attempts), "fc", item["call_id"]), item)
        case "mcp_call":
            # Some models give several calls one id.
            again = item["id"] in seen
            seen.add(item["id"])
            return shown_run(kin(output_id(record.id, 1), "mcp", item["id"], place=place if again else None), item)
        case "mcp_approval_request":
            return shown_request(item)
    return None
