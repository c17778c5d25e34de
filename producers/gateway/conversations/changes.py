"""Changes of conversations: creation, metadata, added items."""

import time
from collections.abc import Sequence
from typing import Any

from turnstile.memory.element import Element, write
from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.content import read_items, stored
from turnstile.producers.gateway.conversations.schemas import ConversationRequest
from turnstile.producers.gateway.edge.api_errors import missing
from turnstile.producers.gateway.edge.caller import CONVERSATION, Caller
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
    await backend.store.begin(session, body.metadata or {}, items)
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
        await backend.store.amend(session, metadata, messages)
    except UnknownSession:
        raise missing("conversation_id", "Conversation", caller.name(session)) from None


async def add_items(backend: Backend, caller: Caller, session: str, items: list[dict[str, Any]], key: str | None) -> list[str]:
    """Add messages, and return their ids. The same `key` adds them once. Raises TurnConflict if it had other items."""
    key = key and f"{session}\0{key}"
    elements = _elements(backend, caller, items, key, at=round(time.time() * 1000))
    if key:
        await _agree(backend, caller.key("items", key), elements)
    await amend(backend, caller, session, None, [write(element) for element in elements])
    return [element.mark["item"] for element in elements]


def _elements(backend: Backend, caller: Caller, items: list[dict[str, Any]], key: str | None, at: int) -> list[Element]:
    messages = read_items(items, "items")
    for n, message in enumerate(messages):
        encode_content("The item", message["content"], backend.settings.max_question_bytes, f"items[{n}].content")
        check_urls([message["content"]], backend.settings.file_hosts, f"items[{n}].content")
    return [stored(message, f"msg_{caller.key('item', key and f'{key}{chr(0)}{n}')}", at) for n, message in enumerate(messages)]


async def _agree(backend: Backend, name: str, elements: list[Element]) -> None:
    """Give a repeated request's elements the first one's time, so that they are not added twice."""
    now, mine = elements[0].mark["at"], fingerprint(name, dumps([element.data for element in elements]), "")
    at, _, first = (await backend.store.once(name, f"{now} {mine}")).partition(" ")
    if first != mine:
        raise TurnConflict("This idempotency key was used with other items.")
    for element in elements:
        element.mark["at"] = int(at)
