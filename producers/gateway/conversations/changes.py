"""Changes of conversations: creation, metadata, added items."""

import time
from collections.abc import Sequence

from turnstile.memory.element import Element, Mark, of_call, of_output, of_role, write
from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.conversations.schemas import MOST_MESSAGES, ConversationRequest
from turnstile.producers.gateway.edge.api_errors import invalid, missing, unsupported
from turnstile.producers.gateway.edge.caller import CONVERSATION, Caller
from turnstile.producers.gateway.items.given import Given, Kind
from turnstile.producers.gateway.items.history import items_of
from turnstile.producers.gateway.items.reading import read_items
from turnstile.producers.gateway.items.shown import Item
from turnstile.turns.bounds import encode_content
from turnstile.turns.errors import TurnConflict, UnknownSession
from turnstile.turns.file_urls import check_urls
from turnstile.turns.question import fingerprint
from turnstile.turns.store.conversations import Conversation
from turnstile.turns.text import dumps


async def begin(backend: Backend, caller: Caller, body: ConversationRequest, key: str | None) -> Conversation:
    """Create a conversation, and return it. The same `key` is the same conversation."""
    name = CONVERSATION + caller.key("conversation", key)
    session = caller.session(name)
    items = [write(element) for element in _elements(backend, caller, body.items or [], key or name, at=0)]
    await backend.store.begin(session, body.metadata or {}, items, caller.conversations)
    return await backend.store.read_conversation(session)


async def described(backend: Backend, caller: Caller, session: str) -> Conversation:
    """Return a caller's conversation. Raises ApiError if there is no such session."""
    try:
        return await backend.store.read_conversation(session)
    except UnknownSession:
        raise missing("conversation_id", "Conversation", caller.name(session)) from None


async def amend(
    backend: Backend, caller: Caller, session: str, metadata: dict[str, str] | None, messages: Sequence[str] = ()
) -> None:
    """Replace a conversation's metadata, and add messages. Raises ApiError if there is no such session."""
    try:
        await backend.store.amend(session, metadata, messages, caller.conversations)
    except UnknownSession:
        raise missing("conversation_id", "Conversation", caller.name(session)) from None


async def add_items(backend: Backend, caller: Caller, session: str, items: list[Item], key: str | None) -> list[Item]:
    """Add messages, and return their items. The same `key` adds them once. Raises TurnConflict if it had other items."""
    key = key and f"{session}\0{key}"
    elements = _elements(backend, caller, items, key, at=round(time.time() * 1000))
    if key and elements:
        await _agree(backend, caller.key("items", key), elements)
    await amend(backend, caller, session, None, [write(element) for element in elements])
    return [item for element in elements for item in items_of(element, element.mark["item"])]


def _elements(backend: Backend, caller: Caller, items: list[Item], key: str | None, at: int) -> list[Element]:
    # A message keeps its own words; what a model thought before them has no place of its own.
    given = [one for one in read_items(items, "items") if one.kind is not Kind.REASONING]
    if len(given) > MOST_MESSAGES:
        message = f"`items` stand for {len(given):,} messages; at most {MOST_MESSAGES} are added at once."
        raise invalid("items", message, "invalid_value")
    for one in given:
        _check(backend, one)
    marks: list[Mark] = [
        {"item": f"msg_{caller.key('item', key and f'{key}{chr(0)}{n}')}", "at": at} for n in range(len(given))
    ]
    return [_element(one, mark) for one, mark in zip(given, marks, strict=True)]


def _check(backend: Backend, one: Given) -> None:
    if one.kind not in _STORED:
        raise unsupported(f"{one.param}.type")
    content = one.body["content"] if one.kind is Kind.MESSAGE else one.body
    param = f"{one.param}.content" if one.kind is Kind.MESSAGE else one.param
    encode_content("The item", content, backend.settings.max_question_bytes, param)
    check_urls([content], backend.settings.file_hosts, param)


_STORED = (Kind.MESSAGE, Kind.CALL, Kind.OUTPUT)


def _element(one: Given, mark: Mark) -> Element:
    """Return the history's element for an item that no turn brought."""
    match one.kind:
        case Kind.CALL:
            return of_call({"call_id": one.call, **one.body["function"]}, mark)
        case Kind.OUTPUT:
            return of_output(one.call, one.body, mark)
        case _:
            return of_role(one.body["role"], one.body["content"], mark)


async def _agree(backend: Backend, name: str, elements: list[Element]) -> None:
    """Give a repeated request's elements the first one's time, so that they are not added twice."""
    now, mine = elements[0].mark["at"], fingerprint(name, dumps([element.data for element in elements]), "")
    at, _, first = (await backend.store.once(name, f"{now} {mine}")).partition(" ")
    if first != mine:
        raise TurnConflict("This idempotency key was used with other items.")
    for element in elements:
        element.mark["at"] = int(at)
