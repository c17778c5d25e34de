"""References to items of the caller's own responses."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext

from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.dependencies import find_response
from turnstile.producers.gateway.edge.api_errors import ApiError, invalid
from turnstile.producers.gateway.edge.caller import RESPONSE, Caller
from turnstile.producers.gateway.edge.loop_time import metered
from turnstile.producers.gateway.items.given import Given, Kind
from turnstile.producers.gateway.items.history import search_lock
from turnstile.producers.gateway.items.ids import names_of, turn_part
from turnstile.producers.gateway.items.reading import read_items
from turnstile.producers.gateway.items.shown import Item
from turnstile.producers.gateway.responses.input_items import input_items
from turnstile.producers.gateway.responses.output_items import output_items
from turnstile.turns.bounds import MOST_CONTENT_BYTES
from turnstile.turns.text import dumps
from turnstile.turns.turn import TurnResult

_AT_ONCE = 8
"""Records that are read at a time: each may be large."""
MOST_RESPONSES = 500
"""Responses to whose items one request refers."""


async def resolved(backend: Backend, caller: Caller, given: Sequence[Given]) -> list[Given]:
    """Return the items with what they refer to in the place of references. Raises ApiError for one that is not the caller's."""
    by_turn: dict[str, list[Given]] = {}
    for one in (one for one in given if one.kind is Kind.REFERENCE):
        by_turn.setdefault(turn_part(one.id) or "", []).append(one)
    if len(by_turn) > MOST_RESPONSES:
        message = f"`input` refers to items of {len(by_turn):,} responses; at most {MOST_RESPONSES} are looked up."
        raise invalid("input", f"{message} Name a conversation, or send the items.", "too_many_references")
    async with search_lock(caller.tenant) if len(by_turn) > _AT_ONCE else nullcontext():
        found = await _all(backend, caller, by_turn)
    return [item for one in given for item in (found[one.id] if one.kind is Kind.REFERENCE else [one])]


async def _all(backend: Backend, caller: Caller, by_turn: Mapping[str, Sequence[Given]]) -> dict[str, list[Given]]:
    """Return what references name, by their ids."""
    found: dict[str, list[Given]] = {}
    turns, size = list(by_turn), 0
    for first in range(0, len(turns), _AT_ONCE):
        some = turns[first : first + _AT_ONCE]
        for items, its_size in await asyncio.gather(*(metered(_read(backend, caller, turn, by_turn[turn])) for turn in some)):
            found |= items
            size += its_size
        if size > MOST_CONTENT_BYTES:
            message = f"The items that `input` refers to have more than {MOST_CONTENT_BYTES:,} bytes: refer to fewer."
            raise invalid("input", message, "invalid_value")
    return found


async def _read(backend: Backend, caller: Caller, turn: str, wanted: Sequence[Given]) -> tuple[dict[str, list[Given]], int]:
    """Return items of a turn that references name, by their ids, and how large they are, each as often as it is named."""
    record = await _record(backend, caller, turn)
    kept = record if record and record.options.store else None
    items = _by_name(output_items(kept)) if kept else {}
    if kept and not all(one.id in items for one in wanted):
        items = _by_name(input_items(await backend.store.status(kept.id))) | items
    found, size = {}, 0
    times = Counter(one.id for one in wanted)
    for one in {one.id: one for one in wanted}.values():
        item = items.get(one.id)
        if item is None:
            raise _missing(one, stored=record is None or kept is not None)
        found[one.id] = read_items([item], one.param)
        size += len(dumps(item)) * times[one.id]
    return found, size


def _by_name(items: Sequence[Item]) -> dict[str, Item]:
    """Return items by all their names; the first of two with one name."""
    return {name: item for item in reversed(items) for name in names_of(item["id"])}


async def _record(backend: Backend, caller: Caller, turn: str) -> TurnResult | None:
    """Return the caller's turn of this name: a response's, or one that came from elsewhere."""
    for id in (f"{RESPONSE}{turn}", turn):
        try:
            return await find_response(backend.store.result, caller, id)
        except ApiError:
            continue
    return None


def _missing(one: Given, *, stored: bool) -> ApiError:
    more = "" if stored else " Items are not persisted when `store` is set to false. Try again with `store` set to true."
    return ApiError(404, f"Item with id '{one.id}' not found.{more}", "input")
