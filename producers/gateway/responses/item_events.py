"""The events of calls: each is added, told in its parts, and done.

Some clients take arguments from the deltas alone, and others only what has been added; so every call has all events.
"""

from collections.abc import Iterator
from typing import Any

from turnstile.producers.gateway.items.shown import Item
from turnstile.producers.gateway.responses.spoken import Told


def item_events(item: Item) -> Iterator[Told]:
    """Yield the events of an item, in order."""
    begun = item | _EMPTY.get(item["type"], {})
    yield "response.output_item.added", {"item": begun}
    for kind, content in _PARTS.get(item["type"], _none)(item):
        yield f"response.{kind}", {"item_id": item["id"], **content}
    yield "response.output_item.done", {"item": item}


_EMPTY: dict[str, dict[str, Any]] = {
    "function_call": {"arguments": "", "status": "in_progress"},
    "mcp_call": {"arguments": "", "status": "in_progress", "output": None, "error": None},
}
"""The fields of an item that has just been added, where they differ from those at its end."""


def _none(item: Item) -> Iterator[Told]:  # noqa: ARG001  # a form like the others
    yield from ()


def _call(item: Item) -> Iterator[Told]:
    yield "function_call_arguments.delta", {"delta": item["arguments"]}
    yield "function_call_arguments.done", {"name": item["name"], "arguments": item["arguments"]}


def _run(item: Item) -> Iterator[Told]:
    yield "mcp_call.in_progress", {}
    yield "mcp_call_arguments.delta", {"delta": item["arguments"]}
    yield "mcp_call_arguments.done", {"arguments": item["arguments"]}
    yield f"mcp_call.{item['status']}", {}


_PARTS = {"function_call": _call, "mcp_call": _run}
